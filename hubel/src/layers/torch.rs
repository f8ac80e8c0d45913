//! Settings in the style of `torch.nn`: their meaning here, and errors where it would differ from PyTorch's.
use super::arguments::{Argument, ArgumentError, Value};

/// A setting with hubel's name and value.
pub(crate) fn setting(written: &str, value: Value) -> Result<(String, Value), String> {
    let name = match written.replace('_', "").as_str() {
        "eps" => "epsilon",
        "outchannels" => "filters",
        "outfeatures" => "outputs",
        "outputsize" => "size",
        "numgroups" => "groups",
        "kernelsize" => "kernel",
        "paddingmode" => "mode",
        "scalefactor" => "factor",
        "countincludepad" => "count_padding",
        "negativeslope" => "slope",
        "p" => "probability",
        "ceilmode" => {
            let round = match &value {
                Value::Word(word) if word == "true" => "ceil",
                Value::Word(word) if word == "false" => "floor",
                _ => return Err(format!("`{written}` must be true or false")),
            };
            return Ok(("round".into(), Value::Word(round.into())));
        }
        "inchannels" | "infeatures" | "numfeatures" | "numparameters" | "numchannels" => {
            return Err(format!(
                "a layer gets its input size automatically: leave `{written}` out"
            ));
        }
        "inplace" => {
            return Err(format!(
                "hubel decides automatically what is computed in place: leave `{written}` out"
            ));
        }
        _ => written,
    };
    Ok((name.into(), value))
}

/// Rejects text that would silently mean something else than in PyTorch. `word` is the layer as written, `name` its canonical name.
pub(crate) fn check(word: &str, name: &str, given: &[Argument]) -> Result<(), ArgumentError> {
    let word_2d = word.to_lowercase().ends_with("2d");
    let by_torch = word_2d || word.to_lowercase().ends_with("1d");
    let unnamed: Vec<&Argument> = given.iter().take_while(|a| a.name.is_none()).collect();
    let refuse = |place: Option<&&Argument>, message: String| {
        let place = place.map(|argument| argument.place.clone());
        Err(ArgumentError { message, place })
    };
    let number = |index: usize| unnamed.get(index)?.value.number::<usize>();
    match name {
        "dropout" if word_2d => refuse(
            None,
            format!("`{word}` drops whole channels, which hubel does not support; `dropout` drops single values"),
        ),
        "conv" | "timeconv" if by_torch && unnamed.len() > 1 => {
            let filters = number(1).unwrap_or(1);
            let kernel = number(2).map_or(String::new(), |kernel| format!(", kernel={kernel}"));
            refuse(
                unnamed.first(),
                format!(
                    "`{word}` begins with the input's channels, which hubel finds automatically: leave the first number out and name the others, as in `{name}({filters}{kernel})`"
                ),
            )
        }
        "batchnorm" | "layernorm" if number(0).is_some_and(|first| first > 0) => refuse(
            unnamed.first(),
            format!("`{word}` finds the number of channels automatically: leave it out"),
        ),
        "prelu" if number(0) == Some(1) => refuse(
            unnamed.first(),
            format!("hubel's `{word}` has a slope for each channel; `leakyrelu(0.25)` has one for all, which is not learned"),
        ),
        "prelu" if number(0).is_some() => refuse(
            unnamed.first(),
            format!("`{word}` finds the number of channels automatically: leave it out"),
        ),
        "groupnorm" if number(1).is_some_and(|second| second > 0) => refuse(
            unnamed.get(1),
            format!("`{word}` finds the number of channels automatically: leave it out"),
        ),
        "linear" if number(1).is_some() => refuse(
            unnamed.first(),
            format!(
                "`{word}` finds the number of inputs automatically: leave it out: `linear({})`",
                number(1).unwrap_or(1)
            ),
        ),
        "maxpool" | "avgpool" if word_2d && unnamed.len() > 3 => refuse(
            unnamed.get(3),
            "name what comes after the padding, such as `round=ceil` for `ceil_mode=True` or `count_padding=false`".into(),
        ),
        _ => Ok(()),
    }
}
