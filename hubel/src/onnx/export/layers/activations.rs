//! Activations; what an older version of the operators lacks is written in parts.
use super::Writer;
use crate::layers::Activation;

impl Writer<'_> {
    pub(super) fn activation(&mut self, activation: Activation, input: &str, name: &str) -> String {
        let part = |what: &str| format!("{name}/{what}");
        match activation {
            Activation::Identity => input.to_owned(),
            Activation::Relu => self.builder.node("Relu", name, &[input], |node| node),
            Activation::Relu6 => self.limited(input, name, 0.0, 6.0),
            Activation::LeakyRelu(slope) => {
                self.builder.node("LeakyRelu", name, &[input], |node| {
                    node.float("alpha", slope)
                })
            }
            Activation::Sigmoid => self.builder.node("Sigmoid", name, &[input], |node| node),
            Activation::Tanh => self.builder.node("Tanh", name, &[input], |node| node),
            Activation::Silu => {
                let gate = self
                    .builder
                    .node("Sigmoid", &part("gate"), &[input], |node| node);
                self.builder.node("Mul", name, &[input, &gate], |node| node)
            }
            Activation::HardSigmoid => self.builder.node("HardSigmoid", name, &[input], |node| {
                node.float("alpha", 1.0 / 6.0).float("beta", 0.5)
            }),
            Activation::Elu(alpha) => self
                .builder
                .node("Elu", name, &[input], |node| node.float("alpha", alpha)),
            // ONNX has Mish since version 18 of its operators.
            Activation::Mish => {
                let soft = self
                    .builder
                    .node("Softplus", &part("softplus"), &[input], |node| node);
                let gate = self
                    .builder
                    .node("Tanh", &part("gate"), &[&soft], |node| node);
                self.builder.node("Mul", name, &[input, &gate], |node| node)
            }
            Activation::Softplus => self.builder.node("Softplus", name, &[input], |node| node),
            Activation::GeluTanh if self.builder.opset() < 20 => self.gelu_by_tanh(input, name),
            Activation::GeluTanh => self.builder.node("Gelu", name, &[input], |node| {
                node.text("approximate", "tanh")
            }),
            Activation::Clip { least, most } => self.limited(input, name, least, most),
            Activation::HardSwish if self.builder.opset() < 14 => {
                let gate = self
                    .builder
                    .node("HardSigmoid", &part("gate"), &[input], |node| {
                        node.float("alpha", 1.0 / 6.0).float("beta", 0.5)
                    });
                self.builder.node("Mul", name, &[input, &gate], |node| node)
            }
            Activation::HardSwish => self.builder.node("HardSwish", name, &[input], |node| node),
            Activation::Gelu if self.builder.opset() < 20 => {
                let root =
                    self.builder
                        .floats(&part("root"), &[], vec![std::f32::consts::FRAC_1_SQRT_2]);
                let one = self.builder.floats(&part("one"), &[], vec![1.0]);
                let half = self.builder.floats(&part("half"), &[], vec![0.5]);
                let scaled = self
                    .builder
                    .node("Mul", &part("scaled"), &[input, &root], |node| node);
                let error = self
                    .builder
                    .node("Erf", &part("erf"), &[&scaled], |node| node);
                let gate = self
                    .builder
                    .node("Add", &part("gate"), &[&error, &one], |node| node);
                let twice = self
                    .builder
                    .node("Mul", &part("twice"), &[input, &gate], |node| node);
                self.builder
                    .node("Mul", name, &[&twice, &half], |node| node)
            }
            Activation::Gelu => self.builder.node("Gelu", name, &[input], |node| node),
        }
    }

    /// x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2 in parts.
    pub(super) fn gelu_by_tanh(&mut self, input: &str, name: &str) -> String {
        let part = |what: &str| format!("{name}/{what}");
        let mut number = |what: &str, value| self.builder.floats(&part(what), &[], vec![value]);
        let (factor, root) = (number("factor", 0.044_715), number("root", 0.797_884_6));
        let (one, half) = (number("one", 1.0), number("half", 0.5));
        let mut node =
            |kind, name: &str, inputs: &[&str]| self.builder.node(kind, name, inputs, |node| node);
        let square = node("Mul", &part("square"), &[input, input]);
        let cube = node("Mul", &part("cube"), &[input, &square]);
        let share = node("Mul", &part("share"), &[&cube, &factor]);
        let sum = node("Add", &part("sum"), &[input, &share]);
        let scaled = node("Mul", &part("scaled"), &[&sum, &root]);
        let tanh = node("Tanh", &part("tanh"), &[&scaled]);
        let gate = node("Add", &part("gate"), &[&tanh, &one]);
        let twice = node("Mul", &part("twice"), &[input, &gate]);
        node("Mul", name, &[&twice, &half])
    }

    pub(super) fn limited(&mut self, input: &str, name: &str, least: f32, most: f32) -> String {
        let least = (self.builder).floats(&format!("{name}/least"), &[], vec![least]);
        let most = (self.builder).floats(&format!("{name}/most"), &[], vec![most]);
        let inputs = [input, &least, &most];
        self.builder.node("Clip", name, &inputs, |node| node)
    }
}
