//! What passes, and what is refused.

use super::*;

/// An answer that passes.
const VALID: &str = r#"# HELP a_total Counts.
# TYPE a_total counter
a_total{route="/buy"} 2
a_total{route="a\\\"b\",}\n"} 3
# HELP t_seconds Took.
# TYPE t_seconds histogram
t_seconds_bucket{route="x",le="0.5"} 1
t_seconds_bucket{route="x",le="+Inf"} 2
t_seconds_sum{route="x"} 1.25
t_seconds_count{route="x"} 2
# HELP u Up and down.
# TYPE u gauge
u -1.5e3
"#;

/// Checks that a valid answer, changed so, is refused with `what`.
#[track_caller]
fn check_refused(from: &str, to: &str, what: &str) {
    let changed = VALID.replacen(from, to, 1);
    assert_ne!(changed, VALID);
    let error = check(&changed).unwrap_err();
    assert!(error.contains(what), "{what:?} in {error:?}");
}

#[test]
fn a_valid_answer_passes() {
    assert_eq!(check(VALID), Ok(()));
}

#[test]
fn names_and_types_follow_the_rules() {
    check_refused("# HELP u Up and down.", "# HELP 1 Up", "a bad name");
    check_refused("# HELP u Up and down.\n", "", "without its help");
    check_refused(
        "# HELP u Up and down.",
        "# HELP a_total Up",
        "a family twice",
    );
    check_refused("u gauge", "u meter", "an unknown type");
    check_refused("u gauge", "u counter", "_total");
    check_refused("# TYPE u gauge\n", "", "a sample that its family has not");
    check_refused("u -1.5e3\n", "", "u: no samples");
    check_refused("u -1.5e3\n", "u -1.5e3", "does not end");
    check_refused("u -1.5e3\n", "\n", "no sample");
    check_refused("u -1.5e3\n", "v 1\n", "another family");
}

#[test]
fn labels_and_values_follow_the_rules() {
    check_refused(r#"{route="/buy"}"#, r#"{route="/buy}"#, "that does not end");
    check_refused(r#"{route="/buy"}"#, r#"{route=/buy}"#, "without a value");
    check_refused(r#"{route="/buy"}"#, r#"{r-t="/buy"}"#, "a bad label");
    check_refused(r#"{route="/buy"}"#, r#"{a="",a=""}"#, "a label twice");
    check_refused(r#"{route="/buy"}"#, r#"{a=""b=""}"#, "no comma");
    check_refused(r#"\\\""#, r#"\x"#, "a bad escape");
    check_refused(
        r#"a_total{route="/buy"} 2"#,
        r#"a_total{route="a\\\"b\",}\n"} 2"#,
        "a series twice",
    );
    check_refused(r#""/buy"} 2"#, r#""/buy"} -2"#, "below zero");
    check_refused(r#""/buy"} 2"#, r#""/buy"} inf"#, "a bad value");
    check_refused(r#""/buy"} 2"#, r#""/buy"}2"#, "no value");
}

#[test]
fn histograms_follow_the_rules() {
    check_refused(r#"le="0.5"} 1"#, r#"le="0.5"} 3"#, "do not add up");
    check_refused(
        "t_seconds_count{route=\"x\"} 2",
        "t_seconds_count{route=\"x\"} 3",
        "not the count",
    );
    check_refused("t_seconds_count{route=\"x\"} 2\n", "", "without a count");
    check_refused("t_seconds_sum{route=\"x\"} 1.25\n", "", "no sum");
    let last = "t_seconds_bucket{route=\"x\",le=\"+Inf\"} 2\n";
    check_refused(last, "", "not the count");
    check_refused(
        last,
        "t_seconds_bucket{route=\"x\",le=\"0.1\"} 2\n",
        "out of order",
    );
}
