//! `wrong-extension`, `extreme-size`, `rotated`, `grey-among-colour` and `cropped`: unusual pictures.
use image::ImageFormat;
use image::metadata::Orientation;

use crate::check::examine::{Facts, Sample, Samples};
use crate::check::{Finding, Kind};
use crate::data::Options;
use crate::data::reading::own_size;

/// A picture whose longer side is more than this many times its shorter one is a strip.
const STRIP: usize = 4;
/// A picture whose sides are this many times longer or shorter than those of the median picture has an extreme size.
const FAR: usize = 8;
/// A picture with a side of fewer pixels shows nothing useful.
const FEW_PIXELS: usize = 8;

/// The text about a picture, if there is a finding.
type Judge<'a> = &'a dyn Fn(&Facts) -> Option<String>;

/// The findings about single pictures, by kind.
pub(super) fn findings(samples: &Samples) -> Vec<Finding> {
    let data = Middle::of(samples);
    let kinds: [(Kind, Judge<'_>); 5] = [
        (Kind::WrongExtension, &wrong_extension),
        (Kind::ExtremeSize, &|facts| data.extreme_size(facts)),
        (Kind::Rotated, &rotated),
        (Kind::GreyAmongColour, &|facts| {
            data.grey_among_colour(facts)
        }),
        (Kind::Cropped, &|facts| data.cropped(facts)),
    ];
    let mut findings = Vec::new();
    for (kind, judge) in kinds {
        let found = |(sample, facts): (&Sample, &Facts)| {
            Some(Finding {
                kind,
                paths: vec![sample.name.clone()],
                detail: judge(facts)?,
                points: None,
            })
        };
        findings.extend(samples.whole().filter_map(found));
    }
    findings
}

/// What is typical for the data.
struct Middle {
    /// Height × width of the median picture, in pixels.
    area: usize,
    is_colour: bool,
    /// Height and width of all pictures, if they are small and equal: then a network takes that size. Otherwise it takes a square.
    alike: Option<(usize, usize)>,
}

impl Middle {
    fn of(samples: &Samples) -> Self {
        let facts: Vec<&Facts> = samples.whole().map(|(_, facts)| facts).collect();
        let mut areas: Vec<usize> = facts
            .iter()
            .map(|facts| facts.height * facts.width)
            .collect();
        areas.sort_unstable();
        let grey = facts.iter().filter(|facts| facts.is_grey).count();
        let sizes = facts.iter().map(|facts| (facts.height, facts.width));
        Self {
            area: areas.get(areas.len() / 2).copied().unwrap_or(1),
            is_colour: 2 * grey < facts.len(),
            alike: own_size(sizes, Options::default().largest_side),
        }
    }

    fn extreme_size(&self, facts: &Facts) -> Option<String> {
        let (height, width) = (facts.height, facts.width);
        let (shorter, longer) = (height.min(width), height.max(width));
        let size = format!("{width}×{height} pixels");
        if Some((height, width)) == self.alike {
            return None;
        }
        if shorter < FEW_PIXELS {
            return Some(format!("{size}: almost nothing can be seen"));
        }
        if longer > STRIP * shorter {
            let ratio = longer as f64 / shorter as f64;
            return Some(format!("{size}: a strip, {ratio:.1} times as long as wide"));
        }
        let usual = (self.area as f64).sqrt();
        let ratio = (height as f64 * width as f64).sqrt() / usual;
        let far = FAR as f64;
        if ratio >= far {
            Some(format!(
                "{size}, where about {usual:.0}×{usual:.0} is usual: {ratio:.0} times as long and wide"
            ))
        } else if ratio <= 1.0 / far {
            Some(format!(
                "{size}, where about {usual:.0}×{usual:.0} is usual: a {:.0}th of the length and width",
                1.0 / ratio
            ))
        } else {
            None
        }
    }

    fn grey_among_colour(&self, facts: &Facts) -> Option<String> {
        (self.is_colour && facts.is_grey)
            .then(|| "without colour, although most pictures have colour".to_owned())
    }

    /// More than a third: pictures of 3:2, which cameras make, do not count.
    fn cropped(&self, facts: &Facts) -> Option<String> {
        // The kept share is the smaller of the two ratios of the aspect ratios.
        let (height, width) = self.alike.unwrap_or((1, 1));
        let (own, wanted) = (facts.width * height, facts.height * width);
        let (less, more) = (own.min(wanted), own.max(wanted));
        (3 * less < 2 * more).then(|| {
            let hidden = 100.0 * (1.0 - less as f64 / more as f64);
            format!(
                "{}×{} pixels: `resize = crop` would hide {hidden:.0} % of it; letterbox shows all, and fills {hidden:.0} % of the input with bars",
                facts.width, facts.height
            )
        })
    }
}

fn wrong_extension(facts: &Facts) -> Option<String> {
    let contents = facts.wrong_extension?;
    let name = match contents {
        ImageFormat::Jpeg => "JPEG".to_owned(),
        ImageFormat::WebP => "WebP".to_owned(),
        other => format!("{other:?}").to_uppercase(),
    };
    let ending = match contents {
        // The format's first extension is the one for black and white.
        ImageFormat::Pnm => Some(&"pnm"),
        other => other.extensions_str().first(),
    };
    Some(match ending {
        Some(ending) => format!("its contents are {name}; the name should end in .{ending}"),
        None => format!("its contents are {name}"),
    })
}

fn rotated(facts: &Facts) -> Option<String> {
    let how = match facts.turned? {
        Orientation::NoTransforms => return None,
        Orientation::Rotate90 => "turned by 90° clockwise",
        Orientation::Rotate180 => "turned upside down",
        Orientation::Rotate270 => "turned by 90° anticlockwise",
        Orientation::FlipHorizontal => "mirrored left to right",
        Orientation::FlipVertical => "mirrored top to bottom",
        Orientation::Rotate90FlipH => "turned by 90° clockwise and mirrored",
        Orientation::Rotate270FlipH => "turned by 90° anticlockwise and mirrored",
    };
    Some(format!("EXIF says that it must be {how} for display"))
}
