//! The windows of a convolution or pooling along one axis.
use axum::Json;
use axum::extract::Query;
use hubel::layers::AxisWindows;
use serde::Deserialize;
use serde_json::{Value, json};

/// Largest length that the page draws.
const LONGEST: usize = 64;

/// The settings in the address.
#[derive(Deserialize)]
pub(super) struct Settings {
    input: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
}

/// `/api/sizes`: the windows, or why there are none.
pub(super) async fn places(Query(settings): Query<Settings>) -> Json<Value> {
    let Settings {
        input,
        kernel,
        stride,
        padding,
        dilation,
    } = settings;
    if [input, kernel, stride, padding, dilation]
        .iter()
        .any(|length| *length > LONGEST)
    {
        return Json(json!({ "problem": format!("the drawing shows lengths up to {LONGEST}") }));
    }
    let windows = AxisWindows {
        input,
        kernel,
        stride,
        padding,
        dilation,
    };
    Json(match windows.places() {
        Ok(places) => json!({ "places": places }),
        Err(error) => json!({ "problem": error.to_string() }),
    })
}
