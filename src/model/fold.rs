//! Texts as searches compare them: a front-end that caches by this form, and a catalog that finds
//! by it, agree.
//!
//! - **Case** is ignored by the full case folding of Unicode, which std's tables give: `ß` is found
//!   by `ss`, `ſ` by `s`, and the micro sign, `ϕ` and both small sigmas by the Greek letters.
//! - **Accents** matter, but not whether they are a code point of their own (canonical
//!   decomposition), nor in which order those above and below a letter come.
//! - **Width** is ignored: full-width Latin letters and digits, and half-width katakana, are as the
//!   usual ones.
//!
//! Not covered: compositions outside Latin, Greek, Cyrillic, Arabic, kana and hangul (Hebrew with
//! points, Indic vowels, CJK compatibility ideographs); an accent typed behind an iota subscript;
//! compatibility forms other than width and ligatures (`²`, `½`, circled letters); and what a
//! language has of its own: `İ` is found by itself and by `i` with a dot above, and `ı` is an `i`.

use std::collections::HashMap;
use std::sync::LazyLock;

/// By an accent: each letter that has it, in lower case, and what the accent stands on there. Made
/// from Unicode 14's decompositions; letters have kept them ever since.
const COMPOSED: [(char, &str); 33] = [
    (
        '\u{300}',
        "àaèeìiòoùuǜüǹnѐеѝиḕēṑōẁwầâằăềêồôờơừưỳyἂἀἃἁἒἐἓἑἢἠἣἡἲἰἳἱὂὀὃὁὓὑὢὠὣὡὰαὲεὴηὶιὸοὺυ\
         ὼω",
    ),
    (
        '\u{301}',
        "áaéeíióoúuýyćcĺlńnŕrśsźzǘüǵgǻåǽæǿøάαέεήηίιόούυώωϓϒѓгќкḉçḗēḯïḱkḿmṍõṓōṕpṹũẃwấâ\
         ắăếêốôớơứưἄἀἅἁἔἐἕἑἤἠἥἡἴἰἵἱὄὀὅὁὕὑὤὠὥὡ\
         άαέεήηίιόούυώω",
    ),
    ('\u{302}', "âaêeîiôoûuĉcĝgĥhĵjŝsŵwŷyẑzậạệẹộọ"),
    ('\u{303}', "ãañnõoĩiũuṽvẫâẵăẽeễêỗôỡơữưỹy"),
    ('\u{304}', "āaēeīiōoūuǖüǟäǡȧǣæǭǫȫöȭõȱȯȳyӣиӯуḡgḹḷṝṛᾱαῑιῡυ"),
    ('\u{306}', "ăaĕeğgĭiŏoŭuйиўуӂжӑаӗеḝȩặạᾰαῐιῠυ"),
    ('\u{307}', "ċcėeġgżzȧaȯoḃbḋdḟfḣhṁmṅnṗpṙrṡsṥśṧšṩṣṫtẇwẋxẏy"),
    (
        '\u{308}',
        "äaëeïiöoüuÿyϊιϋυϔϒёеїіӓаӛәӝжӟзӥиӧоӫөӭэӱуӵчӹыḧhṏõṻūẅwẍx",
    ),
    ('\u{309}', "ảaẩâẳăẻeểêỉiỏoổôởơủuửưỷy"),
    ('\u{30a}', "åaůu"),
    ('\u{30b}', "őoűuӳу"),
    ('\u{30c}', "čcďděeľlňnřršsťtžzǎaǐiǒoǔuǚüǧgǩkǯʒȟh"),
    ('\u{30f}', "ȁaȅeȉiȍoȑrȕuѷѵ"),
    ('\u{311}', "ȃaȇeȋiȏoȓrȗu"),
    ('\u{313}', "ἀαἐεἠηἰιὀοὠω"),
    ('\u{314}', "ἁαἑεἡηἱιὁοὑυὡωῥρ"),
    ('\u{31b}', "ơoưu"),
    ('\u{323}', "ḅbḍdḥhḳkḷlṃmṇnṛrṣsṭtṿvẉwẓzạaẹeịiọoợơụuựưỵy"),
    ('\u{324}', "ṳu"),
    ('\u{325}', "ḁa"),
    ('\u{326}', "șsțt"),
    ('\u{327}', "çcģgķkļlņnŗrşsţtȩeḑdḩh"),
    ('\u{328}', "ąaęeįiųuǫo"),
    ('\u{32d}', "ḓdḙeḽlṋnṱtṷu"),
    ('\u{32e}', "ḫh"),
    ('\u{330}', "ḛeḭiṵu"),
    ('\u{331}', "ḇbḏdḵkḻlṉnṟrṯtẕz"),
    ('\u{342}', "ἆἀἇἁἦἠἧἡἶἰἷἱὗὑὦὠὧὡ"),
    ('\u{653}', "آا"),
    ('\u{654}', "أاؤوئيۀەۂہۓے"),
    ('\u{655}', "إا"),
    (
        '\u{3099}',
        "がかぎきぐくげけごこざさじしずすぜせぞそだたぢちづつでてどとばはびひぶふべへぼほゔうゞゝガカギキグクゲケゴコザサジシズスゼセゾソダタヂチヅツデテドトバハ\
         ビヒブフベヘボホヴウヷワヸヰヹヱヺヲヾヽ",
    ),
    ('\u{309a}', "ぱはぴひぷふぺへぽほパハピヒプフペヘポホ"),
];

/// Half-width katakana, in the order of their code points from U+FF65, in the usual width.
const KATAKANA: &str = "・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";

/// Each composed letter, with what it is made of.
static PARTS: LazyLock<HashMap<char, [char; 2]>> = LazyLock::new(|| {
    let mut parts = HashMap::new();
    for (accent, letters) in COMPOSED {
        let mut letters = letters.chars();
        while let (Some(letter), Some(base)) = (letters.next(), letters.next()) {
            parts.insert(letter, [base, accent]);
        }
    }
    parts
});

/// The form in which two texts are compared. Folding it again changes nothing.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    // Through the upper case, because several small letters share a capital.
    let letters = text.chars().map(usual_width);
    let letters = letters.flat_map(char::to_lowercase);
    let letters = letters.flat_map(char::to_uppercase);
    for letter in letters.flat_map(char::to_lowercase) {
        decompose(letter, &mut folded);
    }
    order_accents(&folded)
}

/// Whether a folded text has this one, folded too, as a part. A letter without an accent is not
/// part of one with it.
pub(crate) fn contains(text: &str, part: &str) -> bool {
    let mut rest = text;
    // Most texts have not. `contains` finds that out three times as fast as `find`.
    while rest.contains(part)
        && let Some(at) = rest.find(part)
    {
        let behind = rest[at + part.len()..].chars().next();
        if part.is_empty() || behind.is_none_or(|c| accent_class(c) == 0) {
            return true;
        }
        let next = rest[at..].chars().next().map_or(1, char::len_utf8);
        rest = &rest[at + next..];
    }
    false
}

fn usual_width(c: char) -> char {
    let code = u32::from(c);
    match c {
        '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(code - 0xfee0).unwrap_or(c),
        '\u{ff65}'..='\u{ff9d}' => KATAKANA.chars().nth(code as usize - 0xff65).unwrap_or(c),
        '\u{ff9e}' => '\u{3099}',
        '\u{ff9f}' => '\u{309a}',
        _ => c,
    }
}

fn decompose(c: char, to: &mut String) {
    if let '\u{ac00}'..='\u{d7a3}' = c {
        let syllable = u32::from(c) - 0xac00;
        let (initial, vowel, last) = (syllable / 588, syllable / 28 % 21, syllable % 28);
        let parts = [0x1100 + initial, 0x1161 + vowel, 0x11a7 + last];
        let count = if last == 0 { 2 } else { 3 };
        to.extend(parts.into_iter().take(count).filter_map(char::from_u32));
        return;
    }
    match PARTS.get(&c) {
        Some([base, accent]) => {
            decompose(*base, to);
            to.push(*accent);
        }
        None => to.push(c),
    }
}

/// Puts the accents of each letter into the order of their classes, so that the order in which
/// those above and below were typed makes no difference.
fn order_accents(text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for accents in letters.chunk_by_mut(|a, b| accent_class(*a) != 0 && accent_class(*b) != 0) {
        accents.sort_by_key(|accent| accent_class(*accent));
    }
    letters.into_iter().collect()
}

/// The canonical combining class; 0 for what is no accent of the table's scripts.
fn accent_class(c: char) -> u8 {
    match c {
        '\u{334}'..='\u{338}' => 1,
        '\u{3099}' | '\u{309a}' => 8,
        '\u{321}' | '\u{322}' | '\u{327}' | '\u{328}' => 202,
        '\u{31b}' => 216,
        '\u{316}'..='\u{319}' | '\u{31c}'..='\u{333}' | '\u{339}'..='\u{33c}' => 220,
        '\u{347}'..='\u{349}' | '\u{34d}' | '\u{34e}' | '\u{353}'..='\u{356}' => 220,
        '\u{359}' | '\u{35a}' | '\u{655}' => 220,
        '\u{315}' | '\u{31a}' | '\u{358}' => 232,
        '\u{35c}' | '\u{35f}' | '\u{362}' => 233,
        '\u{35d}' | '\u{35e}' | '\u{360}' | '\u{361}' => 234,
        '\u{34f}' => 0,
        '\u{300}'..='\u{36f}' | '\u{653}' | '\u{654}' => 230,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_equal(texts: &[&str]) {
        for text in texts {
            assert_eq!(fold(text), fold(texts[0]), "{text:?} and {:?}", texts[0]);
        }
    }

    #[test]
    fn case_is_ignored_as_unicode_folds_it() {
        check_equal(&["STRASSE", "Straße", "STRAẞE", "ſtraſſe"]);
        check_equal(&["μ", "µ", "Μ"]);
        check_equal(&["φ", "ϕ", "Φ"]);
        check_equal(&["οδυσσευς", "ΟΔΥΣΣΕΥΣ", "οδυσσευσ"]);
        check_equal(&["k", "K", "\u{212a}"]);
        check_equal(&["ω", "Ω", "\u{2126}"]);
        check_equal(&["fine", "ﬁne", "FINE"]);
        check_equal(&["i\u{307}", "İ"]);
        check_equal(&["ᾳ", "αι", "ᾼ"]);
    }

    #[test]
    fn an_accent_may_be_a_code_point_of_its_own() {
        check_equal(&["café", "cafe\u{301}", "CAFÉ", "CAFE\u{301}"]);
        check_equal(&["Å", "A\u{30a}", "\u{212b}"]);
        check_equal(&[
            "ệ",
            "ê\u{323}",
            "ẹ\u{302}",
            "e\u{302}\u{323}",
            "e\u{323}\u{302}",
        ]);
        check_equal(&["ΐ", "ι\u{308}\u{301}", "Ϊ\u{301}", "\u{1fd3}"]);
        check_equal(&["ά", "\u{1f71}", "α\u{301}"]);
        check_equal(&["й", "и\u{306}", "Й"]);
        check_equal(&["ガ", "カ\u{3099}", "ｶﾞ"]);
        check_equal(&["한글", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"]);
        check_equal(&["آ", "ا\u{653}"]);
    }

    #[test]
    fn width_is_ignored() {
        check_equal(&[
            "distributed 1",
            "Ｄｉｓｔｒｉｂｕｔｅｄ　１",
            "ＤＩＳＴＲＩＢＵＴＥＤ １",
        ]);
        check_equal(&["カタカナ", "ｶﾀｶﾅ"]);
        check_equal(&["パン・ワ", "ﾊﾟﾝ･ﾜ"]);
    }

    #[test]
    fn other_letters_stay_apart() {
        for (one, other) in [
            ("e", "é"),
            ("ss", "s"),
            ("и", "й"),
            ("カ", "ガ"),
            ("ä", "ae"),
        ] {
            assert_ne!(fold(one), fold(other), "{one} and {other}");
        }
    }

    #[test]
    fn a_part_does_not_end_before_an_accent() {
        let check = |text: &str, part: &str, expected| {
            assert_eq!(
                contains(&fold(text), &fold(part)),
                expected,
                "{part} in {text}"
            );
        };
        check("Café noir", "CAFE\u{301}", true);
        check("Café noir", "cafe", false);
        check("Café noir", "caf", true);
        check("Café", "cafe", false);
        check("éée", "ée", true);
        check("éée", "ee", false);
        check("", "", true);
        check("é", "", true);
        check("abc", "bc", true);
        check("abc", "cb", false);
    }

    #[test]
    fn folding_twice_is_folding_once() {
        for c in '\0'..=char::MAX {
            let once = fold(c.encode_utf8(&mut [0; 4]));
            assert_eq!(fold(&once), once, "{c:?}");
        }
    }

    #[test]
    fn letters_that_std_makes_equal_are_equal() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            assert_eq!(fold(&text), fold(&text.to_lowercase()), "{c:?}");
            assert_eq!(fold(&text), fold(&text.to_uppercase()), "{c:?}");
        }
    }
}
