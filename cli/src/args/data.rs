//! The flags about pictures of `train`, `data` and `bench data`: what is read, and how it is prepared.
use std::path::PathBuf;

use clap::{Args, Subcommand};
use hubel::data::{
    Augmentation, BadFiles, Balance, Kind, Medium, Mixing, Options, Resize, SoundOptions, Subject,
    Tokens,
};
use hubel::{Normalisation, Preparation, Shape};

use super::train::{usual, usual_for};
use super::values::{
    ClassNames, at_least_1, augmentation, bytes, class_names, hertz, of_colours, parsed,
    picture_shape, png, positive, share, short, whole,
};

/// The training data and its preparation.
#[derive(Args, Clone)]
pub(crate) struct TrainingData {
    /// `mnist`, or labelled pictures, recordings, texts or clips: class folders, a table (CSV) of paths, pixels or texts, IDX, CIFAR or npz files
    #[arg(default_value = "mnist")]
    pub(crate) data: PathBuf,
    /// What the files are: pictures, clips, sound or text [default: the most frequent kind; animated pictures and folders of numbered frames are clips]
    #[arg(long, value_name = "KIND", value_parser = parsed::<Kind>)]
    pub(crate) kind: Option<Kind>,
    /// Fine-tune this model: efficientnet-lite0 (part of hubel), a model of your own, or a file of PyTorch weights; none trains from scratch
    /// [default: efficientnet-lite0 if that is better than training from scratch; the first line says which]
    #[arg(long, value_name = "none|NAME|PATH")]
    pub(crate) from: Option<PathBuf>,
    /// Mean of red, green and blue (0 to 1) that normalises pictures for weights of other programs, whose files do not contain it
    /// [default: that of ImageNet, 0.485,0.456,0.406; for EfficientNet-Lite 127/255]
    #[arg(long, value_name = "R,G,B", requires_all = ["std", "from"], value_parser = of_colours)]
    pub(crate) mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue, for the same files as --mean [default: that of ImageNet, 0.229,0.224,0.225; for EfficientNet-Lite 128/255]
    #[arg(long, value_name = "R,G,B", requires_all = ["mean", "from"], value_parser = of_colours)]
    pub(crate) std: Option<[f32; 3]>,
    /// Size that pictures are resized to [default: that of the fine-tuned model; else their own if all have the same size of at most 64x64; else a square of at most 64x64]
    #[arg(long, short, value_name = "HxWxC", value_parser = picture_shape)]
    pub(crate) input: Option<Shape>,
    /// How to fit pictures of another aspect ratio: letterbox (whole picture, with bars in the background's colour or black), crop (the middle), stretch
    /// [default: that of the fine-tuned model; else letterbox]
    #[arg(long, value_parser = parsed::<Resize>)]
    pub(crate) resize: Option<Resize>,
    /// What texts are divided into: words or characters [default: words]
    #[arg(long, value_name = "words|characters", value_parser = parsed::<Tokens>)]
    pub(crate) tokens: Option<Tokens>,
    /// Number of words (or characters, see --tokens) of a text that are read, at least 8 [default: as many as the longest training text has, up to 256 words or 1024 characters]
    #[arg(long, value_name = "COUNT", value_parser = at_least_1)]
    pub(crate) length: Option<usize>,
    /// Number of frames of a clip that the network sees [default: as many as the median clip has, up to 12]
    #[arg(long, value_name = "FRAMES", value_parser = at_least_1)]
    pub(crate) frames: Option<usize>,
    /// Frames per second that are taken from the middle of a clip [default: the frames are spread evenly over the whole clip]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub(crate) fps: Option<f32>,
    #[command(flatten)]
    pub(crate) sound: Sound,
    /// Augmentation: none, light, standard, strong, or operations such as 'flip, crop(4)', for recordings such as 'timeshift(0.1), noise(10, 40)'
    /// [default: standard; light for small grey pictures other than writing; none for texts]
    #[arg(long, value_name = "PRESET|OPERATIONS", value_parser = augmentation)]
    pub(crate) augment: Option<String>,
    /// Mix the examples of each batch, and their targets, by mixup: in shares from Beta(ALPHA, ALPHA); usual: 0.2 to 1. In fine-tuning, in
    /// its last phase. With --cutmix, each for half of the batches [default: no mixing]
    #[arg(long, value_name = "ALPHA", value_parser = positive)]
    pub(crate) mixup: Option<f32>,
    /// The same by CutMix: a rectangle of another picture, with a share of the area from Beta(ALPHA, ALPHA); usual: 1. Not for kept features
    /// of frozen layers (see --freeze) [default: no mixing]
    #[arg(long, value_name = "ALPHA", value_parser = positive)]
    pub(crate) cutmix: Option<f32>,
    /// Share of the data held out for validation, if the data has no validation part
    #[arg(long, value_name = "SHARE", default_value_t = Options::default().validation, value_parser = share)]
    pub(crate) val: f64,
    /// Share of the data held out for the final test, if the data has no test part
    #[arg(long, value_name = "SHARE", default_value_t = Options::default().test, value_parser = share)]
    pub(crate) test: f64,
    /// Names for numbered classes, stored in the model: cat,dog,owl, or a text file with one name per line
    #[arg(long, value_name = "NAMES|FILE", value_parser = class_names)]
    pub(crate) class_names: Option<ClassNames>,
    /// Examples per batch, and per step without --accumulate [default: 64, for small grey pictures 128, for recordings 32]
    #[arg(long, short, alias = "batch", value_parser = at_least_1)]
    pub(crate) batch_size: Option<usize>,
    /// Seed of all random choices. The same seed and instruction set give the same bits, for any number of threads
    #[arg(long, default_value_t = usual().seed, value_parser = whole)]
    pub(crate) seed: u64,
    /// Seed that decides what is held out, if it is not to be that of --seed [default: that of --seed]
    #[arg(long, value_name = "SEED", value_parser = whole)]
    pub(crate) split_seed: Option<u64>,
    #[command(flatten)]
    pub(crate) files: Files,
}

impl TrainingData {
    /// How to read and split the data; `start` is the preparation of the fine-tuned model.
    pub(crate) fn options(&self, start: Option<&Preparation>) -> Options {
        let usual = start.map_or_else(Options::default, Options::for_model);
        Options {
            shape: self.input.filter(|_| start.is_none()),
            network: usual.network,
            resize: self.resize.unwrap_or(usual.resize),
            tokens: self.tokens.unwrap_or(usual.tokens),
            length: self.length.or(usual.length),
            frames: self.frames.or(usual.frames),
            frame_rate: self.fps.or(usual.frame_rate),
            sound: match usual.sound.model {
                Some(_) => usual.sound,
                None => self.sound.options(),
            },
            validation: self.val,
            test: self.test,
            seed: self.split_seed.unwrap_or(self.seed),
            // The other half is for the features of frozen layers.
            cache: (self.files.cache).map(|bytes| if start.is_some() { bytes / 2 } else { bytes }),
            ..self.files.options()
        }
    }

    /// The flags that are given and say how samples of one kind become the network's input, with that kind and the value.
    pub(crate) fn of_kind(&self) -> Vec<(Kind, &'static str, String)> {
        let sound = &self.sound;
        let flags = [
            (
                Kind::Texts,
                "tokens",
                self.tokens.map(|tokens| tokens.to_string()),
            ),
            (Kind::Texts, "length", self.length.as_ref().map(short)),
            (Kind::Clips, "frames", self.frames.as_ref().map(short)),
            (Kind::Clips, "fps", self.fps.as_ref().map(short)),
            (Kind::Sounds, "rate", sound.rate.as_ref().map(short)),
            (Kind::Sounds, "seconds", sound.seconds.as_ref().map(short)),
            (Kind::Sounds, "bands", sound.bands.as_ref().map(short)),
            (Kind::Sounds, "window", sound.window.as_ref().map(short)),
            (Kind::Sounds, "hop", sound.hop.as_ref().map(short)),
        ];
        let given = flags.into_iter();
        given
            .filter_map(|(kind, flag, value)| Some((kind, flag, value?)))
            .collect()
    }

    /// `--mixup` and `--cutmix`.
    pub(crate) fn mixing(&self) -> Mixing {
        Mixing::of(self.mixup, self.cutmix)
    }

    /// `--mean` and `--std`, if given.
    pub(crate) fn normalisation(&self) -> Option<Normalisation> {
        let (mean, std) = (self.mean?, self.std?);
        Some(Normalisation { mean, std })
    }

    /// Examples per step: `--batch-size`, or the default for the data.
    pub(crate) fn batch_size(&self, subject: &Subject) -> usize {
        let usual = || usual_for(subject).batch_size;
        self.batch_size.unwrap_or_else(usual)
    }

    /// `--augment`, or the default for the data.
    ///
    /// # Errors
    /// If it cannot be parsed.
    pub(crate) fn augmentation(&self, subject: &Subject) -> hubel::Result<Augmentation> {
        match &self.augment {
            None => Ok(subject.usual_augmentation()),
            Some(text) => Augmentation::parse(text, subject.presets()),
        }
    }
}

/// `hubel data`
#[derive(Subcommand)]
pub(crate) enum Data {
    /// Show the examples of one training step, exactly as the network sees them
    Preview(Preview),
}

/// `hubel data preview`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel data preview photos/ --out sheet.png
  hubel data preview photos/ --augment strong --original
  hubel data preview photos/ --cutmix 1           mixed pictures, with the share of each class
  hubel data preview photos/ --epoch 3 --step 2 --seed 7 --batch-size 32

Give the same data flags as to `hubel train`, and you see the examples of that step of that run. Below each picture are its class, its index in the training part, and its file.")]
pub(crate) struct Preview {
    #[command(flatten)]
    pub(crate) data: TrainingData,
    /// The epoch, counted from 1
    #[arg(long, short, default_value_t = 1, value_parser = at_least_1)]
    pub(crate) epoch: usize,
    /// The step in the epoch, counted from 1; with --accumulate of `train`, the batch
    #[arg(long, short, default_value_t = 1, value_parser = at_least_1)]
    pub(crate) step: usize,
    /// How to treat classes of very different size, as in `train`: none, loss, sample
    #[arg(long, default_value_t = Balance::None, value_parser = parsed::<Balance>)]
    pub(crate) balance: Balance,
    /// Also show each example before augmentation, on its left
    #[arg(long)]
    pub(crate) original: bool,
    /// Show only the first examples of the step
    #[arg(long, value_name = "COUNT", value_parser = at_least_1)]
    pub(crate) count: Option<usize>,
    /// The PNG file to write
    #[arg(long, short, value_name = "FILE", default_value = "sheet.png", value_parser = png)]
    pub(crate) out: PathBuf,
    /// Print one JSON object: sheet, epoch, step, steps, augmentation, pictures (index, class, path, mixed_with)
    #[arg(long)]
    pub(crate) json: bool,
}

/// How recordings are read.
#[derive(Args, Clone, Default)]
pub(crate) struct Sound {
    /// Sampling rate that recordings are resampled to, in Hz [default: the most frequent one of the training recordings, at most 16000]
    #[arg(long, value_name = "HERTZ", value_parser = hertz)]
    pub(crate) rate: Option<u32>,
    /// Length of recordings in seconds: shorter ones are padded with silence, longer ones cut at their loudest stretch
    /// [default: 95 % of the training recordings fit; at most 10]
    #[arg(long, value_parser = positive)]
    pub(crate) seconds: Option<f32>,
    /// Number of mel bands of the spectrogram [default: 64; 40 below 16000 Hz]
    #[arg(long, value_parser = at_least_1)]
    pub(crate) bands: Option<usize>,
    /// Milliseconds of sound in each frame of the spectrogram [default: 25]
    #[arg(long, value_name = "MS", value_parser = positive)]
    pub(crate) window: Option<f32>,
    /// Milliseconds between frames of the spectrogram [default: 10]
    #[arg(long, value_name = "MS", value_parser = positive)]
    pub(crate) hop: Option<f32>,
}

impl Sound {
    fn options(&self) -> SoundOptions {
        let mut options = SoundOptions::default();
        options.rate = self.rate;
        options.seconds = self.seconds;
        options.bands = self.bands;
        options.window = self.window;
        options.hop = self.hop;
        options
    }
}

/// How files are read.
#[derive(Args, Clone)]
pub(crate) struct Files {
    /// What to do with files that cannot be read: fail (list them and stop), skip (leave them out), quarantine (move them to a folder beside the data)
    #[arg(long, value_name = "POLICY", default_value_t = BadFiles::Fail, value_parser = parsed::<BadFiles>)]
    pub(crate) bad_files: BadFiles,
    /// Memory for decoded files, such as 500MB; those that do not fit are decoded again each time [default: half of the free memory]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub(crate) cache: Option<usize>,
}

impl Files {
    /// These settings for the library.
    pub(crate) fn options(&self) -> Options {
        Options {
            bad_files: self.bad_files,
            cache: self.cache,
            ..Options::default()
        }
    }
}

/// How samples become the input of a network with this preparation, as flags of training without `--`. Pictures have none that are theirs alone.
pub(crate) fn decided(preparation: &Preparation) -> Vec<(&'static str, String)> {
    let time = preparation.shape.time;
    match &preparation.medium {
        Medium::Text(vocabulary) => vec![
            ("tokens", vocabulary.kind().to_string()),
            ("length", short(&time)),
        ],
        Medium::Clip(settings) => {
            let rate = settings.rate.map(|rate| ("fps", short(&rate)));
            [("frames", short(&time))].into_iter().chain(rate).collect()
        }
        Medium::Sound(settings) => {
            let spectrogram = settings.spectrogram;
            let milliseconds =
                |samples: usize| (1e3 * samples as f64 / f64::from(spectrogram.rate)) as f32;
            vec![
                ("rate", short(&spectrogram.rate)),
                ("seconds", short(&settings.seconds())),
                ("bands", short(&spectrogram.bands)),
                ("window", short(&milliseconds(spectrogram.window))),
                ("hop", short(&milliseconds(spectrogram.hop))),
            ]
        }
        _ => Vec::new(),
    }
}
