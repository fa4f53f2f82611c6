//! What do ten thousand aliases and a hundred thousand keys cost? `cargo bench --bench control`.
//!
//! First the start of a process over such a store, its memory, and a change; then what a
//! request pays: to be let in, and to find its alias, beside a configuration of ten.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use divan::Bencher;
use pointsman::clock::Clock;
use pointsman::config::{Document, Kind, parse_file};
use pointsman::control::{AtPart, Beginning, Control, Precondition, Signed};
use pointsman::store::record::{Author, KeyRecord, SecretRecord};
use pointsman::store::{Entry, KeyEdit, Store};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// Aliases and keys.
const SIZES: [(usize, usize); 2] = [(10, 10), (10_000, 100_000)];

const CLIENT: &str = "pm-bench-";

/// The argument by which this program starts itself again: in a process of its own memory is
/// what a start takes, and not what was there before.
const CHILD: &str = "--start-of";

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args: Vec<String> = std::env::args().collect();
    if let [_, first, path, aliases] = args.as_slice()
        && first == CHILD
    {
        println!("{}", runtime().block_on(start_of(Path::new(path), aliases.parse().expect("a number"))));
        return;
    }
    println!(
        "{:>8} {:>8} {:>10} {:>10} {:>12} {:>12} {:>12}",
        "aliases", "keys", "store", "start", "memory", "alias edit", "new key"
    );
    for size in SIZES {
        println!("{}", scale(size));
    }
    divan::main();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// A configuration with so many aliases of three targets each.
fn text(aliases: usize) -> String {
    let mut text = "[[providers]]\nid = \"openai\"\nprivate_addresses = true\n".to_owned();
    for i in 0..aliases {
        let _ = write!(
            text,
            "[[aliases]]\nname = \"team-{i}/chat\"\nstrategy = \"lowest-latency\"\n\
             targets = [{{ model = \"gpt-5.5\" }}, {{ model = \"openai/gpt-4o\" }}, {{ model = \"openai/gpt-4.1\" }}]\n"
        );
    }
    text
}

fn secret(i: usize) -> String {
    format!("{CLIENT}{i:040}")
}

fn record(i: usize, aliases: usize) -> KeyRecord {
    let digest: String = Sha256::digest(secret(i)).iter().map(|byte| format!("{byte:02x}")).collect();
    KeyRecord {
        name: format!("key-{i}"),
        project: "default".into(),
        aliases: Some(vec![format!("team-{}/chat", i % aliases)]),
        requests_per_minute: Some(600),
        budget: vec!["$50/day".into()],
        enabled: true,
        secrets: vec![SecretRecord { digest, prefix: "pm-bench-0".into(), created_ms: 1, expires_ms: None }],
        created_ms: 1,
        created_by: "bench".into(),
        ..KeyRecord::default()
    }
}

fn beginning(store: Store, aliases: usize) -> Beginning {
    let env = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk-bench".to_owned());
    let no_files = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let file = parse_file(&text(aliases), &env, &no_files).expect("a good file");
    let token = Some(SecretString::from("pma-bench-0123456789"));
    Beginning { store, file, folder: Default::default(), masters: None, token, clock: Clock::new(), sharing: None }
}

/// A store that has begun once, with so many keys.
async fn filled(path: &Path, (aliases, keys): (usize, usize)) {
    let store = Store::open(path).expect("a store");
    let control = Control::start(beginning(store, aliases)).await.expect("a start").control;
    let edits: Vec<KeyEdit> =
        (0..keys).map(|i| record(i, aliases)).map(|key| KeyEdit { name: key.name.clone(), to: Some(key) }).collect();
    let revision = control.store.revision(1).expect("a read").expect("a first revision");
    let (_, audit) = control.store.audit_log(u64::MAX, 1).expect("a read").remove(0);
    let revision = pointsman::store::record::RevisionRecord { number: control.live.view().revision.0 + 1, ..revision };
    let entry = Entry { revision: Some(revision), keys: edits, audit: Some(audit), ..Entry::default() };
    control.store.commit(&entry, None, 100).expect("a commit");
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

/// A line of the table.
fn scale(size: (usize, usize)) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("store.db");
    runtime().block_on(filled(&path, size));
    let bytes = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let exe = std::env::current_exe().expect("this program");
    let mut child = Command::new(exe);
    child.args([CHILD.as_ref(), path.as_os_str(), size.0.to_string().as_ref()]);
    let told = child.output().expect("the child runs");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    format!("{:>8} {:>8} {:>6} MiB {}", size.0, size.1, bytes >> 20, String::from_utf8_lossy(&told.stdout).trim_end())
}

/// What a start over a store takes, and changes after it.
async fn start_of(path: &Path, aliases: usize) -> String {
    let begun = Instant::now();
    let store = Store::open(path).expect("a store");
    let control = Control::start(beginning(store, aliases)).await.expect("a start").control;
    let (start, memory) = (begun.elapsed(), resident_kib());
    let signed = || Signed::new(Author::new("bench", "api"), "bench", "bench");
    let edit = median(async |i| {
        let weights = AtPart::Weights(vec![("openai/gpt-5.5".into(), f64::from(i + 2))]);
        control.change_alias(signed(), "team-5/chat".into(), weights, Precondition::Any).await.expect("a change");
    });
    let edit = edit.await;
    let key = median(async |i| {
        let Some(fields) = Document::from_text(&format!("{{\"name\":\"new-{i}\"}}")) else { return };
        control.create_key(signed(), fields.fields()).await.expect("a key");
    });
    let key = key.await;
    assert!(control.look(|state| state.documents().get(Kind::Alias, "team-5/chat").is_some()).await);
    format!("{:>7} ms {:>8} MiB {:>9.1} ms {:>9.1} ms", start.as_millis(), memory >> 10, ms(edit), ms(key))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn median(mut once: impl AsyncFnMut(u32)) -> Duration {
    let mut times = Vec::new();
    for i in 0..15 {
        let begun = Instant::now();
        once(i).await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// A control of each size, made once.
fn of(size: usize) -> &'static Arc<Control> {
    static CONTROLS: [OnceLock<Arc<Control>>; 2] = [OnceLock::new(), OnceLock::new()];
    CONTROLS[size].get_or_init(|| {
        runtime().block_on(async {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().join("store.db");
            filled(&path, SIZES[size]).await;
            let store = Store::open(&path).expect("a store");
            Control::start(beginning(store, SIZES[size].0)).await.expect("a start").control
        })
    })
}

/// The caller of a key, as every request asks for it: SHA-256, a look into the ring, its
/// project.
#[divan::bench(args = [0, 1], sample_size = 256)]
fn let_in(bencher: Bencher<'_, '_>, size: usize) {
    let control = of(size);
    let (view, keys) = (control.live.view(), SIZES[size].1);
    let shown: Vec<String> = (0..64).map(|i| secret(i * 1_571 % keys)).collect();
    let mut turn = 0;
    bencher.bench_local(|| {
        turn = (turn + 1) % shown.len();
        black_box(view.caller(Some(shown[turn].as_bytes()), control.clock().now()).is_ok())
    });
}

/// The alias that a name means, and whether the caller may use it.
#[divan::bench(args = [0, 1], sample_size = 256)]
fn resolve(bencher: Bencher<'_, '_>, size: usize) {
    let control = of(size);
    let view = control.live.view();
    let caller = view.caller(Some(secret(5).as_bytes()), control.clock().now()).expect("a caller");
    bencher.bench_local(|| {
        let alias = view.catalog.resolve(black_box("team-5/chat")).expect("an alias");
        black_box(caller.may_use(view.catalog.alias(alias), &view.catalog))
    });
}

/// The view that a request begins with.
#[divan::bench(args = [0, 1], sample_size = 256)]
fn view(bencher: Bencher<'_, '_>, size: usize) {
    let control = of(size);
    bencher.bench_local(|| black_box(control.live.view()).revision);
}
