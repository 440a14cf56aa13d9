//! Single values: an option wins over the environment, the environment over the default; an empty
//! one is not set.

use std::collections::HashMap;

use crate::config::setting::{Fallback, Setting};
use crate::model::address::Address;

/// What was given to one program.
pub(super) struct Values<'a> {
    /// The command, and how many arguments it takes.
    word: &'static str,
    arguments_max: usize,
    settings: Vec<Setting>,
    /// Options by the name of their setting.
    options: HashMap<&'static str, String>,
    arguments: Vec<String>,
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Values<'a> {
    /// Sorts the arguments after the program's name. Fails on an unknown option, one without its
    /// value, and on an argument that the program does not take. The last of equal options wins.
    pub(super) fn collect(
        word: &'static str,
        arguments_max: usize,
        settings: Vec<Setting>,
        args: &[String],
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<Values<'a>, String> {
        let mut values = Values {
            word,
            arguments_max,
            settings,
            options: HashMap::new(),
            arguments: Vec::new(),
            env,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg.starts_with("--") {
                values.take_option(arg, &mut args)?;
            } else {
                values.take_argument(arg)?;
            }
        }
        Ok(values)
    }

    fn take_option<'b>(
        &mut self,
        arg: &str,
        rest: &mut impl Iterator<Item = &'b String>,
    ) -> Result<(), String> {
        let (option, value) = match arg.split_once('=') {
            Some((option, value)) => (option, Some(value.to_string())),
            None => (arg, None),
        };
        let known = self
            .settings
            .iter()
            .find(|setting| setting.option() == option);
        let setting = known.ok_or_else(|| {
            let word = self.word;
            format!("{option} is not an option of bazar {word}; see bazar {word} --help")
        })?;
        let value = match (value, setting.is_flag()) {
            (None, true) => String::new(),
            (Some(_), true) => return Err(format!("{option} takes no value")),
            (Some(value), false) => value,
            (None, false) => rest.next().cloned().ok_or_else(|| {
                format!(
                    "{option} has no value; it must be followed by {}",
                    setting.hint
                )
            })?,
        };
        self.options.insert(setting.name, value);
        Ok(())
    }

    fn take_argument(&mut self, arg: &str) -> Result<(), String> {
        let word = self.word;
        if self.arguments_max <= self.arguments.len() {
            return Err(format!(
                "{arg:?} is one argument too many; see bazar {word} --help"
            ));
        }
        self.arguments.push(arg.to_string());
        Ok(())
    }

    /// A name that is not in the table is a bug: the help would not show it.
    fn setting(&self, name: &str) -> &Setting {
        let setting = self.settings.iter().find(|setting| setting.name == name);
        setting.expect("every setting is in the table")
    }

    /// What was given, or the default.
    pub(super) fn optional(&self, name: &str) -> Option<String> {
        let setting = self.setting(name);
        let given = self.options.get(name).cloned().or_else(|| (self.env)(name));
        let default = match setting.default {
            Fallback::Value(text) => Some(text.to_string()),
            Fallback::Needed | Fallback::Words(_) => None,
        };
        given.filter(|text| !text.trim().is_empty()).or(default)
    }

    /// As [`Values::optional`], but must be there.
    pub(super) fn needed(&self, name: &str) -> Result<String, String> {
        let meaning = self.setting(name).meaning;
        self.optional(name)
            .ok_or_else(|| format!("{name} is not set but must hold {meaning}"))
    }

    /// A value that must be there and that `parse` takes; `wanted` says what that is.
    pub(super) fn read<T>(
        &self,
        name: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, String> {
        let text = self.needed(name)?;
        parse(text.trim()).ok_or_else(|| format!("{name} holds {text:?} but must hold {wanted}"))
    }

    /// A whole number in ASCII digits.
    pub(super) fn number(&self, name: &str, min: u64, max: u64) -> Result<u64, String> {
        let wanted = format!("a whole number from {min} to {max}");
        self.read(name, &wanted, |text| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            text.parse()
                .ok()
                .filter(|n| digits && (min..=max).contains(n))
        })
    }

    /// One address.
    pub(super) fn address(&self, name: &str) -> Result<Address, String> {
        let wanted = "an address such as http://127.0.0.1:5000";
        self.read(name, wanted, |text| Address::parse(text).ok())
    }

    /// Addresses separated by `|`, none twice. Not set is an empty list, unless the table says that
    /// it is needed.
    pub(super) fn addresses(&self, name: &str) -> Result<Vec<Address>, String> {
        let needed = self.setting(name).default == Fallback::Needed;
        if !needed && self.optional(name).is_none() {
            return Ok(Vec::new());
        }
        let text = self.needed(name)?;
        let wanted =
            "addresses separated by |, such as http://127.0.0.1:5000|http://127.0.0.1:6000";
        let wrong =
            |problem: String| format!("{name} holds {text:?} but must hold {wanted}: {problem}");
        let list = Address::parse_list(&text).map_err(wrong)?;
        if list.is_empty() {
            return Err(wrong("there is none".into()));
        }
        match (1..list.len()).find(|n| list[..*n].contains(&list[*n])) {
            Some(n) => Err(wrong(format!("{} is there twice", list[n]))),
            None => Ok(list),
        }
    }

    /// Whether an option without a value was given. Only options: an environment has no words for
    /// yes and no.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// The program's own arguments.
    pub(super) fn argument(&self, name: &str) -> Result<String, String> {
        let word = self.word;
        let is_whole = self.arguments.len() == self.arguments_max;
        let given = is_whole.then(|| self.arguments.join(" "));
        given.ok_or_else(|| format!("{name} is missing; see bazar {word} --help"))
    }
}
