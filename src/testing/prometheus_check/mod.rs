//! A strict parser of the Prometheus text format: Prometheus reads whatever passes as it was meant.
//!
//! It is stricter than the format: every family has help, type and a sample, and counters, and only
//! they, end in `_total`. It refuses other comments, timestamps and summaries, because Bazar writes
//! none.

#[cfg(test)]
mod tests;

use std::collections::HashSet;

type Labels<'a> = Vec<(&'a str, String)>;

/// A sample's name, its labels sorted, and its value.
type Sample<'a> = (&'a str, Labels<'a>, f64);

/// Checks a whole answer of `/metrics`. Fails with the line and what is wrong with it.
pub fn check(text: &str) -> Result<(), String> {
    if !text.ends_with('\n') {
        return Err("the last line does not end".into());
    }
    let mut checker = Checker::default();
    for line in text.lines() {
        checker
            .line(line)
            .map_err(|what| format!("{what}: {line}"))?;
    }
    checker.end_family()
}

#[derive(Default)]
struct Checker<'a> {
    /// The families so far: none may come twice.
    families: HashSet<&'a str>,
    /// The series so far: none may come twice.
    series: HashSet<String>,
    /// The current family and its type.
    name: &'a str,
    kind: Option<&'a str>,
    samples: Vec<Sample<'a>>,
}

impl<'a> Checker<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            self.help(rest)
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            self.kind(rest)
        } else {
            self.sample(line)
        }
    }

    fn help(&mut self, rest: &'a str) -> Result<(), String> {
        self.end_family()?;
        let (name, help) = rest.split_once(' ').ok_or("no help text")?;
        ensure(is_name(name), "a bad name")?;
        ensure(!help.is_empty(), "no help text")?;
        ensure(self.families.insert(name), "a family twice")?;
        self.name = name;
        self.kind = None;
        Ok(())
    }

    fn kind(&mut self, rest: &'a str) -> Result<(), String> {
        let (name, kind) = rest.split_once(' ').ok_or("no type")?;
        ensure(
            name == self.name && self.kind.is_none(),
            "a type without its help",
        )?;
        ensure(
            ["counter", "gauge", "histogram"].contains(&kind),
            "an unknown type",
        )?;
        let total = name.ends_with("_total");
        ensure(
            total == (kind == "counter"),
            "counters, and only they, end in _total",
        )?;
        self.kind = Some(kind);
        Ok(())
    }

    fn sample(&mut self, line: &'a str) -> Result<(), String> {
        let at = line.find(['{', ' ']).ok_or("no sample")?;
        let (name, rest) = line.split_at(at);
        let suffix = name
            .strip_prefix(self.name)
            .ok_or("a sample of another family")?;
        let fits = match self.kind {
            Some("histogram") => ["_bucket", "_sum", "_count"].contains(&suffix),
            kind => kind.is_some() && suffix.is_empty(),
        };
        ensure(fits, "a sample that its family has not")?;
        let (mut labels, rest) = labels(rest)?;
        labels.sort();
        let value = value(rest.strip_prefix(' ').ok_or("no value")?)?;
        let counts = self.kind != Some("gauge");
        ensure(!counts || 0.0 <= value, "a count below zero")?;
        ensure(
            self.series.insert(format!("{name}{labels:?}")),
            "a series twice",
        )?;
        self.samples.push((name, labels, value));
        Ok(())
    }

    fn end_family(&mut self) -> Result<(), String> {
        let samples = std::mem::take(&mut self.samples);
        let named = |what: String| format!("{}: {what}", self.name);
        ensure(self.name.is_empty() || !samples.is_empty(), "no samples").map_err(named)?;
        match self.kind {
            Some("histogram") => histogram(&samples).map_err(named),
            _ => Ok(()),
        }
    }
}

/// Checks that each set of labels has its buckets in order, up to the count, and a sum.
fn histogram(samples: &[Sample]) -> Result<(), String> {
    let mut seen = 0;
    for (_, labels, count) in samples.iter().filter(|(name, ..)| name.ends_with("_count")) {
        let all: Vec<_> = samples.iter().map(split_bound).collect();
        let all: Vec<_> = all
            .iter()
            .filter(|(_, others, _)| others == labels)
            .collect();
        let buckets = all
            .iter()
            .filter_map(|(end, _, total)| Some((end.clone()?, *total)));
        let buckets: Vec<(String, f64)> = buckets.collect();
        let ends: Vec<f64> = buckets
            .iter()
            .map(|(end, _)| value(end))
            .collect::<Result<_, _>>()?;
        ensure(ends.is_sorted_by(|a, b| a < b), "buckets out of order")?;
        ensure(
            buckets.is_sorted_by(|a, b| a.1 <= b.1),
            "buckets do not add up",
        )?;
        let last = buckets.last().map(|(end, total)| (end.as_str(), *total));
        ensure(last == Some(("+Inf", *count)), "+Inf is not the count")?;
        ensure(all.len() == buckets.len() + 2, "no sum")?;
        seen += all.len();
    }
    ensure(seen == samples.len(), "samples without a count")
}

/// A sample's `le`, its other labels, and its value.
fn split_bound<'a>(sample: &Sample<'a>) -> (Option<String>, Labels<'a>, f64) {
    let (ends, others): (Vec<_>, Vec<_>) = sample
        .1
        .iter()
        .cloned()
        .partition(|(label, _)| *label == "le");
    (
        ends.into_iter().next().map(|(_, end)| end),
        others,
        sample.2,
    )
}

/// Reads `{a="b",…}`, which may be missing. Returns the labels and the rest of the text.
fn labels(text: &str) -> Result<(Labels<'_>, &str), String> {
    let mut labels = Labels::new();
    let Some(mut rest) = text.strip_prefix('{') else {
        return Ok((labels, text));
    };
    loop {
        let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
        ensure(is_name(label) && !label.contains(':'), "a bad label")?;
        ensure(
            labels.iter().all(|(known, _)| *known != label),
            "a label twice",
        )?;
        let (value, after) = quoted(after)?;
        labels.push((label, value));
        if let Some(after) = after.strip_prefix('}') {
            return Ok((labels, after));
        }
        rest = after.strip_prefix(',').ok_or("no comma between labels")?;
    }
}

/// Reads up to the closing quote. Returns the value and the rest of the text.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                _ => return Err("a bad escape".into()),
            },
            c => value.push(c),
        }
    }
    Err("a label that does not end".into())
}

fn is_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.chars().all(word)
}

fn value(text: &str) -> Result<f64, String> {
    let word = ["+Inf", "-Inf", "NaN"].contains(&text);
    let digits = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    ensure(word || digits, "a bad value")?;
    text.parse().map_err(|_| "a bad value".into())
}

fn ensure(condition: bool, otherwise: &str) -> Result<(), String> {
    if condition {
        Ok(())
    } else {
        Err(otherwise.into())
    }
}
