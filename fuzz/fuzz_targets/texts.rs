//! Small things that people and programs write as text: none of them makes its reader panic, and
//! what is written of what was read reads the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pointsman::classifier::labelled::{self, Row};
use pointsman::config::redis::RedisAddress;
use pointsman::domain::budget::Budget;
use pointsman::domain::category::BuiltIn;
use pointsman::secrets::{MasterKey, MasterKeys, Sealed};
use pointsman::store::Day;

fuzz_target!(|text: &str| {
    if let Ok(budget) = text.parse::<Budget>() {
        assert_eq!(budget.to_string().parse(), Ok(budget));
    }
    if let Ok(sealed) = text.parse::<Sealed>() {
        assert_eq!(sealed.to_string().parse().ok(), Some(sealed));
    }
    if let Some(day) = Day::parse(text) {
        assert_eq!(Day::parse(&day.to_string()), Some(day));
    }
    let _ = (text.parse::<MasterKey>(), text.parse::<MasterKeys>());
    if let Ok(address) = text.parse::<RedisAddress>() {
        let shown = address.to_string();
        assert!(shown.parse::<RedisAddress>().is_ok(), "{shown}");
    }
    if let Some(category) = BuiltIn::parse(text) {
        assert_eq!(BuiltIn::parse(category.as_str()), Some(category));
    }
    let _ = (Row::parse(text), labelled::conversation(text));
});
