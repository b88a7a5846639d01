//! The measurement as users start it.

use crate::program::Place;

/// The flag of the server and that of the verb mean the same load; a wrong word shows that it is
/// read.
#[test]
fn the_verb_takes_the_longer_name_of_its_flag() {
    let place = Place::new();
    let light = place.run(&["bench", "--benchmark-stress=light", "-o", "json"]);
    let figures: serde_json::Value = serde_json::from_str(light.ok()).unwrap();
    assert_eq!(figures["stress"], "light", "{figures}");
    let wrong = place.run(&["bench", "--benchmark-stress=hevy"]);
    assert!(wrong.refused(2).contains("heavy"), "{wrong:?}");
}

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
