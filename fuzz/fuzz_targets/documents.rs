//! No documents that come as JSON make the reader panic, and those that are accepted are the
//! same after they were exported as a file.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pointsman::config::{Document, Documents, KeyNodes, Kind, Places, World, check, parse_file, to_toml};
use serde_json::{Map, Value};

fuzz_target!(|text: &str| {
    let Ok(lists) = serde_json::from_str::<Map<String, Value>>(text) else { return };
    let objects =
        |list: &str| lists.get(list).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    let mut documents = Documents::default();
    for kind in Kind::ALL {
        for fields in objects(kind.list()) {
            if let Some(name) = fields.get(kind.name_field()).and_then(Value::as_str) {
                documents.insert(kind, name, Document::new(fields));
            }
        }
    }
    let keys: Vec<Map<String, Value>> = objects("keys").cloned().collect();
    let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let world = World { env: &|_| None, files: &no_files, sealed: &|_, _| Err(String::new()) };
    if check(&documents, &KeyNodes::of(&keys), &Places::default(), true, world).is_ok() {
        let exported = match to_toml(&documents) {
            Ok(exported) => exported,
            Err(error) => panic!("{error}"),
        };
        match parse_file(&exported, &|_| None, &no_files) {
            Ok(file) => assert_eq!(file.documents, documents),
            Err(problems) => panic!("{problems}\n{exported}"),
        }
    }
});
