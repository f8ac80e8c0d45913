use super::*;
#[test]
fn lenet5_has_its_parameters() {
    let graph = Network::named("lenet5")
        .unwrap()
        .graph(Shape::new(28, 28, 1), 10)
        .unwrap();
    assert_eq!(graph.parameters(), 61_706);
}
