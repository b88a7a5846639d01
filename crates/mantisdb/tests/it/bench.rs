//! The measurement as users start it.

use crate::program::Place;

#[test]
fn benchmark_only_measures_a_directory_of_its_own_and_ends() {
    let place = Place::new();
    let ended = place.run(&["--benchmark-only", "-benchmark-stress=light"]);
    let text = ended.ok();
    for part in [
        "sequential put",
        "40 writers",
        "P99",
        "CPU/OP",
        "PEAK MEMORY",
        " 0 wrong",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(
        std::fs::read_dir(place.path("")).unwrap().count(),
        0,
        "nothing is left behind"
    );
}
