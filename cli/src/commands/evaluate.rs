//! `hubel evaluate`: measures a model on labelled data.
mod foreign;
mod json;
mod page;
mod predictions;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hubel::data::{Evaluation, Judged, Kind, Unlike};
use hubel::{Dataset, Error, Model, RunFolder, Threshold, Weights, one_line};

use self::foreign::Foreign;
use self::text::Answered;
use super::{Assessment, Outcome, named, program, quoted, reading};
use crate::args::Evaluate;
use crate::console::{self, Console, thousands};

/// What was evaluated, and what came out.
struct Evaluated<'a> {
    arguments: &'a Evaluate,
    model: &'a Model,
    data: &'a Path,
    images: &'a Dataset,
    judged: Judged,
    unlike: Unlike,
    bad_files: Vec<hubel::data::BadFile>,
    judgement: Assessment,
    /// Whether these images chose the model's threshold.
    chose_threshold: bool,
    foreign: Option<Foreign>,
}

/// Runs the command.
pub(crate) fn run(arguments: &Evaluate, console: &Console) -> Outcome {
    let loaded = named::load(&arguments.model, console)?;
    let file = match arguments.wrong_at_most {
        Some(_) => Some(own_file(&arguments.model)?),
        None => None,
    };
    let own = loaded.input();
    let model = (arguments.size)
        .of(loaded.clone())?
        .with_precise(arguments.precise);
    let data = match &arguments.data {
        Some(data) => data.as_path(),
        None if is_of_digits(&model) => Path::new("mnist"),
        None => return Err(no_data(&model).into()),
    };
    let Evaluation {
        dataset: images,
        judged,
        found,
        notes,
        mut bad_files,
        unlike,
        has_trained,
        ..
    } = reading::for_evaluation(data, &model, &arguments.files, console)?;
    // Other data may also have ten classes with numbers as names.
    if arguments.data.is_none() && has_trained == Some(false) {
        return Err(no_data(&model).into());
    }
    notes.iter().for_each(|note| console.remark(note));
    super::report_bad_files(&bad_files, console);
    let of_found = match images.len() == found {
        true => String::new(),
        false => format!(" of {}", thousands(found)),
    };
    let size = match (images.kind(), model.input() == own) {
        (Kind::Texts, _) => format!(
            "of which up to {} {} are read",
            own.time,
            model.vocabulary()?.kind()
        ),
        (Kind::Sounds, _) => model
            .preparation()
            .medium
            .sound()
            .map_or_else(String::new, |sound| {
                format!("of each of which {:.2} s are heard", sound.seconds())
            }),
        (Kind::Clips, _) => format!("of which {} frames of {} are seen", own.time, own.over(1)),
        (Kind::Pictures, true) => {
            format!("each at the model's {own}; pictures of another size are resized")
        }
        (Kind::Pictures, false) => format!(
            "each at {} instead of the model's {own}; pictures of another size are resized",
            model.input()
        ),
    };
    console.remark(&format!(
        "{}: {}{of_found} {} ({judged}), {size}",
        images.name(),
        thousands(images.len()),
        images.kind().plural(),
    ));
    for note in on_another_ground(unlike) {
        console.remark(&note);
    }
    let took_part = match arguments.wrong_at_most {
        Some(_) => took_part(judged, &arguments.model, &model, &images, console)?,
        None => Vec::new(),
    };
    let cpu = arguments.processor.cpu();
    let judgement = super::judge(&model, &cpu, &images, console)?;
    super::report_bad_files(&judgement.report.bad_files, console);
    bad_files.extend(judgement.report.bad_files.clone());
    let model = match (arguments.wrong_at_most, &file) {
        (Some(wrong_at_most), Some(file)) => {
            let threshold = threshold(&judgement, &took_part, wrong_at_most, console)?;
            loaded.with_threshold(Some(threshold)).save(file)?;
            console.remark(&format!("the threshold is saved in {}", file.display()));
            model.with_threshold(Some(threshold))
        }
        _ => model,
    };
    let foreign = match arguments.foreign.as_slice() {
        [] => None,
        paths => Some(Foreign::look(
            paths, &model, &cpu, data, &images, arguments, console,
        )?),
    };
    let evaluated = Evaluated {
        chose_threshold: chose_threshold(arguments, &model, &judgement),
        arguments,
        model: &model,
        data,
        images: &images,
        judged,
        unlike,
        bad_files,
        judgement,
        foreign,
    };
    if let Some(out) = &arguments.out {
        predictions::write(out, &evaluated)?;
        console.remark(&format!("all answers are in {}", hubel::shown(out)));
    }
    if let Some(file) = &arguments.html {
        page::write(file, &evaluated)?;
        console.remark(&format!("the report is {}", hubel::shown(file)));
    }
    console::print(&match arguments.json {
        true => json::of(&evaluated).to_string(),
        false => text::of(&evaluated),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The file of the model, to which a threshold is added.
///
/// # Errors
/// If it is no file of hubel's own.
fn own_file(model: &Path) -> Result<PathBuf, Error> {
    let file = match model.is_dir() {
        true => RunFolder::model_in(model),
        false => Some(model.to_owned()),
    };
    // It was loaded, so it is a file of hubel's or one of another program.
    let own = file.filter(|file| file.is_file() && Weights::are_in(file).is_ok_and(|are| !are));
    own.ok_or_else(|| Error::Settings {
        problem: format!(
            "--wrong-at-most stores the threshold in the model file, and {} is none that hubel wrote; train or fine-tune a model of your own first",
            hubel::shown(model)
        ),
    })
}

/// Which images cannot choose a threshold, because they took part in the training: they do not say how often the model errs on others. Images are told apart by the list of the
/// model's run; without it, all are refused if some took part.
fn took_part(
    judged: Judged,
    path: &Path,
    model: &Model,
    images: &Dataset,
    console: &Console,
) -> Result<Vec<bool>, Error> {
    let refused = |why: &str| {
        Err(Error::Settings {
            problem: format!(
                "--wrong-at-most needs data that took no part in the training, and {why}; name other labelled data"
            ),
        })
    };
    if judged == Judged::HeldOutOfSeries {
        return refused("this data is of the same series as the training part");
    }
    if let Some(list) = named::samples_of(path)? {
        let took_part = list.took_part(images);
        let count = took_part.iter().filter(|took| **took).count();
        if count == images.len() {
            return refused(
                "all of it is of the training part, or of the validation part, which chose the weights and the temperature",
            );
        }
        if count > 0 {
            console.remark(&format!(
                "{} that do not count for the threshold, because they took part in the training: {}",
                images.kind().plural(),
                thousands(count)
            ));
        }
        return Ok(took_part);
    }
    let aside = (model.division()).map_or(0, |division| division.set_aside(images));
    match judged {
        Judged::LeakedTest | Judged::Seen => {
            return refused("the model was trained on some of it");
        }
        _ if aside > 0 => {
            return refused(
                "it includes the validation part, which chose the weights and the temperature",
            );
        }
        Judged::HeldOut => {}
        _ => console.remark(&format!(
            "it is unknown whether the model was trained on some of this data, because {} of its run is missing; if it was, the bound is too low",
            RunFolder::DATA
        )),
    }
    Ok(vec![false; images.len()])
}

/// The threshold, from images that took no part in the training and of which none is a near-duplicate of another.
fn threshold(
    judgement: &Assessment,
    took_part: &[bool],
    wrong_at_most: f64,
    console: &Console,
) -> Result<Threshold, Error> {
    let mut distinct = judgement.distinct();
    let copies = judgement.answers.len() - distinct.len();
    if copies > 0 {
        console.remark(&format!(
            "{} near-duplicates of others do not count for the threshold",
            thousands(copies)
        ));
    }
    let indices = judgement.answers.indices();
    distinct.retain(|place| !took_part[indices[*place]]);
    judgement.answers.select(&distinct).threshold(wrong_at_most)
}

/// Whether the images chose the model's threshold, now or in an earlier evaluation. Then their wrong answers do not test its bound.
fn chose_threshold(arguments: &Evaluate, model: &Model, judgement: &Assessment) -> bool {
    let Some(threshold) = model.threshold() else {
        return false;
    };
    let answers = judgement.answers.select(&judgement.distinct());
    let answered = Answered::of(&answers, threshold);
    let [own, found] = [
        [threshold.images, threshold.answered, threshold.wrong],
        [answered.images, answered.answered, answered.wrong],
    ];
    arguments.wrong_at_most.is_some() || own == found
}

/// The command that evaluates the same model on the same data, with this flag.
fn command_with(evaluated: &Evaluated, flag: &str) -> String {
    let mut command = format!(
        "{} evaluate {}",
        quoted(program()),
        quoted(&evaluated.arguments.model)
    );
    if evaluated.data != Path::new("mnist") {
        command += &format!(" {}", quoted(evaluated.data));
    }
    command + " " + flag
}

/// Remarks on images whose background differs from that of the training pictures.
fn on_another_ground(unlike: Unlike) -> impl Iterator<Item = String> {
    let kinds = [
        (
            unlike.inverted,
            ["is", "are"],
            "inverted: their background is light and that of the training pictures dark, or the other way round",
        ),
        (
            unlike.other_ground,
            ["has", "have"],
            "another background than the training pictures, which may mislead the model",
        ),
    ];
    let found = kinds.into_iter().filter(|(count, ..)| *count > 0);
    found.map(|(count, [of_one, of_many], what)| {
        let verb = if count == 1 { of_one } else { of_many };
        format!("{} of the images {verb} {what}", thousands(count))
    })
}

fn no_data(model: &Model) -> Error {
    let classes = model.classes().iter().take(12).cloned();
    let problem = format!(
        "name the labelled data after the model; its classes are {}",
        one_line(&classes.collect::<Vec<String>>().join(", "))
    );
    Error::Settings { problem }
}

fn is_of_digits(model: &Model) -> bool {
    let digits = (0..10).map(|digit| digit.to_string());
    model.classes().iter().cloned().eq(digits)
}
