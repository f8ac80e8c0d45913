//! A kernel made by hand, over the picture.
use axum::Json;
use axum::extract::State;
use hubel::explain::response::{self, Fire};
use hubel::explain::{Kernel, draw};
use hubel::image::{DynamicImage, GrayImage, RgbImage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Refusal, blocking, image};
use super::{PictureQuestion, look};
use crate::models::cpu;
use crate::server::Shared;

/// How many places are framed.
const PLACES: usize = 5;

#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    #[serde(flatten)]
    asked: PictureQuestion,
    /// A name, or rows of weights: `[[1,0,-1],[2,0,-2],[1,0,-1]]`.
    kernel: String,
}

/// `POST /api/see/kernel`: the response of the kernel at each place of the picture as the network reads it.
pub(in crate::api) async fn apply(
    State(shared): State<Shared>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        let kernel = Kernel::parse(&wanted.kernel)?;
        let (pixels, shape) = look(&shared, &wanted.asked, |loaded, eyes, _| {
            let seen = eyes.seen.as_ref().expect("a picture was looked at");
            Ok((
                seen.frame(loaded, &wanted.asked)?.to_vec(),
                loaded.model.input().frame(),
            ))
        })?;
        let (width, height) = (shape.width as u32, shape.height as u32);
        let picture = match shape.channels {
            1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
            3 => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
            _ => None,
        };
        let Some(picture) = picture else {
            let problem = format!(
                "kernels made by hand run over pictures of 1 or 3 channels, and this one has {}",
                shape.channels
            );
            return Err(Refusal::from(hubel::Error::Settings { problem }));
        };
        let found = response::of_kernel(&cpu(), &kernel, picture, PLACES)?;
        let places = found
            .response
            .strongest
            .iter()
            .map(|Fire { at, value, .. }| json!({ "at": at, "value": value }));
        let terms = found.arithmetic.terms.iter();
        Ok(json!({
            "weights": kernel.weights,
            "height": kernel.height,
            "width": kernel.width,
            "channels": kernel.channels,
            "image": image("image/png", &draw::heatmap(&found.response.map).png()),
            "framed": image("image/png", &draw::framed(&found.response.strongest, &found.pixels, found.shape).png()),
            "strongest": places.collect::<Vec<_>>(),
            "terms": terms.map(|term| json!({ "value": term.value, "weight": term.weight })).collect::<Vec<_>>(),
            "result": found.arithmetic.result,
            "at": found.arithmetic.at,
        }))
    });
    answer.await?.map(Json)
}

/// `/api/kernels`: the kernels that have a name.
pub(in crate::api) async fn names() -> Json<Value> {
    let named = Kernel::names().filter_map(|name| {
        let kernel = Kernel::parse(name).ok()?;
        Some(json!({ "name": name, "height": kernel.height, "width": kernel.width, "weights": kernel.weights }))
    });
    Json(named.collect())
}
