//! Would compose, systemd and Kubernetes run what the product is? There is no engine here to
//! try: the files are held to the schemas that are published, and to the product.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::files::{documents, folder, list, path, string, text};
use crate::support::config::ConfigText;
use crate::support::gateway::{BINARY, Gateway};
use crate::support::python::python;

/// How long streams may go on after the order to stop, unless the file says otherwise.
const DRAIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn compose_fits_the_published_schema() {
    let file = path("compose.yaml").display().to_string();
    let args = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", &file];
    python("monitoring", &args, &[]).await;
}

#[tokio::test]
async fn manifests_fit_the_published_schemas() {
    // Kinds of kustomize and of the Prometheus operator are not among those of Kubernetes.
    let own = ["kustomization.yaml", "servicemonitor.yaml", "prometheusrule.yaml"];
    let files = folder("deploy/kubernetes");
    let (others, builtin): (Vec<String>, Vec<String>) =
        files.into_iter().partition(|file| own.iter().any(|own| file.ends_with(own)));
    assert_eq!((others.len(), builtin.len()), (3, 5));
    let paths: Vec<String> = builtin.iter().map(|file| path(file).display().to_string()).collect();
    let args: Vec<&str> =
        ["-m", "kubernetes_validate", "--strict"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    python("monitoring", &args, &[]).await;
}

#[tokio::test]
async fn objects_of_the_prometheus_operator_fit_its_published_schema() {
    let files = ["servicemonitor", "prometheusrule"].map(|name| path(&format!("deploy/kubernetes/{name}.yaml")));
    let files = files.map(|file| file.display().to_string());
    let said = python("monitoring", &["objects.py", &files[0], &files[1]], &[]).await;
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[tokio::test]
async fn kustomize_builds_what_the_manifests_are() {
    let mut kubectl = Command::new("kubectl");
    let Ok(built) = kubectl.arg("kustomize").arg(path("deploy/kubernetes")).output() else {
        eprintln!("no kubectl: not looked at");
        return;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("built.yaml");
    std::fs::write(&file, built.stdout).unwrap();
    let named = |objects: Vec<Value>| -> BTreeMap<String, Value> {
        objects
            .into_iter()
            .map(|object| (format!("{} {}", object["kind"], object["metadata"]["name"]), object))
            .collect()
    };
    let mut manifests = kubernetes().await;
    manifests.retain(|object| !["Kustomization", "Secret"].contains(&string(&object["kind"])));
    assert_eq!(named(documents(&[&file.display().to_string()]).await), named(manifests));
}

#[tokio::test]
async fn manifests_name_each_other() {
    let all = kubernetes().await;
    let of = |kind: &str| all.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let deployment = of("Deployment");
    let pod = &deployment["spec"]["template"];
    let labels = &pod["metadata"]["labels"];
    for selector in
        [&deployment["spec"]["selector"]["matchLabels"], &of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]]
    {
        assert_eq!(selector, labels);
    }
    let services: Vec<_> = all.iter().filter(|object| object["kind"] == "Service").collect();
    assert_eq!(services.len(), 2);
    let container = &pod["spec"]["containers"][0];
    let ports: BTreeMap<&str, u64> = list(&container["ports"])
        .map(|port| (string(&port["name"]), port["containerPort"].as_u64().expect("a port")))
        .collect();
    assert_eq!(ports, BTreeMap::from([("http", 8080), ("admin", 8081)]));
    for service in &services {
        assert_eq!(&service["spec"]["selector"], labels);
        for port in list(&service["spec"]["ports"]) {
            assert_eq!(port["port"].as_u64(), ports.get(string(&port["targetPort"])).copied());
        }
    }
    // What Prometheus scrapes is the listener of operators, under the name that rules go by.
    let monitor = &of("ServiceMonitor")["spec"];
    let wanted = monitor["selector"]["matchLabels"].as_object().expect("labels");
    let scraped: Vec<_> = services
        .iter()
        .filter(|service| wanted.iter().all(|(name, value)| service["metadata"]["labels"][name] == *value))
        .collect();
    assert_eq!(scraped.len(), 1);
    assert_eq!(scraped[0]["spec"]["ports"][0]["name"], monitor["endpoints"][0]["port"]);
    assert_eq!(scraped[0]["metadata"]["labels"][string(&monitor["jobLabel"])], "pointsman");
    let volumes = &pod["spec"]["volumes"];
    assert_eq!(volumes[0]["configMap"]["name"], of("ConfigMap")["metadata"]["name"]);
    assert_eq!(container["envFrom"][0]["secretRef"]["name"], of("Secret")["metadata"]["name"]);
    let mounted: Vec<&str> = list(&container["volumeMounts"]).map(|mount| string(&mount["name"])).collect();
    assert!(list(volumes).all(|volume| mounted.contains(&string(&volume["name"]))));
}

#[tokio::test]
async fn kustomize_takes_every_manifest_but_the_secret() {
    let [kustomization] = documents(&["deploy/kubernetes/kustomization.yaml"]).await.try_into().expect("one");
    let taken: BTreeSet<String> =
        list(&kustomization["resources"]).map(|file| format!("deploy/kubernetes/{}", string(file))).collect();
    let mut there: BTreeSet<String> = folder("deploy/kubernetes").into_iter().collect();
    there.retain(|file| !file.ends_with("kustomization.yaml") && !file.contains("secret"));
    assert_eq!(taken, there);
}

#[tokio::test]
async fn whoever_stops_it_waits_longer_than_it_drains() {
    let [compose] = documents(&["compose.yaml"]).await.try_into().expect("one");
    let grace = seconds(string(&compose["services"]["pointsman"]["stop_grace_period"]));
    assert!(grace > DRAIN, "compose: {grace:?}");
    let unit = text("deploy/systemd/pointsman.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("a time");
    assert!(seconds(stop) > DRAIN, "systemd: {stop}");
    let all = kubernetes().await;
    let deployment = all.iter().find(|object| object["kind"] == "Deployment").expect("a deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let wait = string(&pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1]).parse().expect("seconds");
    let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().expect("a number"));
    assert!(grace > Duration::from_secs(wait) + DRAIN, "Kubernetes: {grace:?}");
    // And that is what it is.
    let page = text("docs/configuration.md");
    let row = page.lines().find(|line| line.starts_with("| `drain_timeout` |")).expect("a row");
    assert!(row.contains(&format!("`\"{}s\"`", DRAIN.as_secs())), "{row}");
}

#[tokio::test]
async fn commands_that_run_it_are_commands_of_the_product() {
    let docker = text("Dockerfile");
    let said = |word: &str| -> Vec<String> {
        let line = docker.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no {word}"));
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{word}{line}: {error}"))
    };
    assert_eq!(said("ENTRYPOINT "), ["pointsman"]);
    let unit = text("deploy/systemd/pointsman.service");
    let exec = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("a command");
    let exec: Vec<String> = exec.split(' ').skip(1).map(str::to_owned).collect();
    let all = kubernetes().await;
    let deployment = all.iter().find(|object| object["kind"] == "Deployment").expect("a deployment");
    let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    for args in [said("CMD "), exec, list(args).map(|arg| string(arg).to_owned()).collect()] {
        // Whatever stands before `--help` is still looked at.
        let help = Command::new(BINARY).args(&args).arg("--help").output().expect("the binary runs");
        assert!(help.status.success(), "{args:?}: {}", String::from_utf8_lossy(&help.stderr));
    }
    let page = text("docs/configuration.md") + &text("src/cli.rs");
    for variable in docker.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, _)| name) {
        assert!(!variable.starts_with("POINTSMAN_") || page.contains(variable), "{variable} means nothing");
    }
}

#[tokio::test]
async fn configurations_that_come_with_it_are_good() {
    let all = kubernetes().await;
    let map = all.iter().find(|object| object["kind"] == "ConfigMap").expect("a ConfigMap");
    let shared = string(&map["data"]["pointsman.toml"]).to_owned();
    for text in [text("deploy/compose/pointsman.toml"), shared] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pointsman.toml");
        std::fs::write(&file, &text).unwrap();
        let mut check = Command::new(BINARY);
        // Compose hands over variables that may be empty.
        check.arg("check").arg(&file).env("MY_APP_KEY", "").env("OPENAI_API_KEY", "").env("ANTHROPIC_API_KEY", "");
        let checked = check.output().unwrap();
        assert!(checked.status.success(), "{text}\n{}", String::from_utf8_lossy(&checked.stderr));
        assert!(text.contains("path = \"/var/lib/pointsman/pointsman.db\""), "{text}");
    }
}

#[tokio::test]
async fn nothing_that_comes_with_it_holds_a_secret_or_a_moving_version() {
    let [compose] = documents(&["compose.yaml"]).await.try_into().expect("one");
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["pointsman", "redis", "prometheus", "grafana"]);
    for (name, service) in services {
        let (_, tag) = string(&service["image"]).rsplit_once(':').unwrap_or_else(|| panic!("{name} has no version"));
        assert!(tag.contains('.') && tag != "latest", "{name}: {tag}");
        for port in list(&service["ports"]) {
            assert!(string(port).starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            let secret = ["KEY", "TOKEN", "PASSWORD", "SECRET"].iter().any(|word| variable.contains(word));
            assert!(!secret || string(value) == format!("${{{variable}:-}}"), "{name}: {variable}");
        }
        let healthy = service["healthcheck"]["test"].is_array() || name == "pointsman";
        assert!(healthy, "{name} has no health check");
        for volume in list(&service["volumes"]).map(string) {
            let from = volume.split(':').next().unwrap_or_default();
            let known =
                from.strip_prefix("./").map_or(compose["volumes"].get(from).is_some(), |file| path(file).exists());
            assert!(known, "{name}: {volume}");
        }
    }
    let all = kubernetes().await;
    let secret = all.iter().find(|object| object["kind"] == "Secret").expect("a Secret");
    assert!(secret["stringData"].as_object().expect("entries").values().all(|value| value == ""));
    for line in text("Dockerfile").lines().filter_map(|line| line.strip_prefix("FROM ")) {
        assert!(line.contains(':') && !line.contains("latest"), "{line}");
    }
}

#[tokio::test]
async fn grafana_and_prometheus_find_in_compose_what_is_mounted() {
    let files = [
        "grafana/provisioning/datasources/prometheus.yaml",
        "grafana/provisioning/dashboards/pointsman.yaml",
        "compose.yaml",
        "grafana/prometheus/prometheus.yml",
    ];
    let [sources, providers, compose, prometheus] = documents(&files).await.try_into().expect("four");
    assert_eq!(sources["datasources"][0]["url"], "http://prometheus:9090");
    let mounts: Vec<&str> = list(&compose["services"]["grafana"]["volumes"]).map(string).collect();
    let dashboards = string(&providers["providers"][0]["options"]["path"]);
    assert!(mounts.contains(&format!("./grafana/dashboards:{dashboards}:ro").as_str()), "{mounts:?}");
    let home = &compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let home = string(home).strip_prefix(dashboards).expect("one of them");
    assert!(path(&format!("grafana/dashboards{home}")).exists(), "{home}");
    let scraped = &prometheus["scrape_configs"][0];
    assert_eq!(scraped["job_name"], "pointsman");
    assert_eq!(
        scraped["dns_sd_configs"][0],
        json!({"names": ["pointsman"], "type": "A", "port": 8081, "refresh_interval": "15s"})
    );
    assert_eq!(sources["datasources"][0]["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
}

#[test]
fn the_unit_is_one_and_little_is_open_to_it() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        eprintln!("no systemd-analyze: not looked at");
        return;
    };
    assert!(version.status.success());
    // The program has to be where the unit says.
    let dir = tempfile::tempdir().unwrap();
    let unit = dir.path().join("pointsman.service");
    let text = text("deploy/systemd/pointsman.service").replace("/usr/local/bin/pointsman", BINARY);
    std::fs::write(&unit, text).unwrap();
    let run = |args: &[&str]| Command::new("systemd-analyze").args(args).arg(&unit).output().expect("it runs");
    let verified = run(&["verify"]);
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !said.contains("pointsman.service"), "{said}");
    let exposed = run(&["security", "--offline=true", "--threshold=20"]);
    assert!(exposed.status.success(), "{}", String::from_utf8_lossy(&exposed.stdout));
}

#[tokio::test]
async fn the_image_tells_a_gateway_that_answers_from_one_that_does_not() {
    let gateway = Gateway::start(&ConfigText::new("")).await;
    let docker = text("Dockerfile");
    let check = docker.split_once("HEALTHCHECK").expect("a health check").1;
    let check = check.split_once("CMD ").expect("its command").1.lines().next().unwrap_or_default();
    let command: Vec<String> = serde_json::from_str(check).expect("a list of words");
    let port = gateway.admin_url("").rsplit_once(':').expect("a port").1.to_owned();
    let healthy = |port: &str| {
        let words: Vec<String> = command.iter().map(|word| word.replace("/8081", &format!("/{port}"))).collect();
        assert_ne!(words, command);
        Command::new(&words[0]).args(&words[1..]).output().expect("bash is there").status.success()
    };
    assert!(healthy(&port));
    drop(gateway);
    assert!(!healthy(&port));
}

#[test]
fn the_image_is_built_from_what_cargo_needs() {
    let ignored = text(".dockerignore");
    let kept: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let dir = tempfile::tempdir().unwrap();
    for name in kept {
        let copied = Command::new("cp").arg("-r").arg(path(name)).arg(dir.path()).status().unwrap();
        assert!(copied.success(), "{name}");
    }
    std::fs::remove_dir_all(dir.path().join("models/category/data")).expect("what is left out again");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]).current_dir(dir.path());
    let metadata = cargo.output().unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    // Whatever the sources take in from outside of them is there too.
    let mut found = 0;
    for (file, line) in sources(&dir.path().join("src")) {
        let Some(name) = line.split('"').find(|word| word.contains("../models/")) else { continue };
        let named = file.parent().expect("a folder").join(name);
        assert!(named.exists(), "{}", named.display());
        found += 1;
    }
    assert!(found > 5, "{found}");
}

/// What builds it is run with commands that only leave a file behind.
#[test]
fn the_image_is_built_by_a_profile_where_that_is_asked_for() {
    let docker = text("Dockerfile");
    let run = docker.split("\nRUN ").nth(1).expect("what builds it");
    let command = run.split("\n\n").next().expect("its lines").replace("\\\n", " ");
    let built = |guided: &str| {
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, makes: &str| {
            let file = dir.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            let text = format!("#!/bin/sh\nmkdir -p $(dirname {makes})\necho $0 \"$@\" > {makes}\n");
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::metadata(path("benches/pgo")).unwrap().permissions()).unwrap();
        };
        script("benches/pgo", "target/pgo/pointsman");
        script("bin/cargo", "target/release/pointsman");
        let out = dir.path().join("out/pointsman");
        let words = command.split_whitespace().filter(|word| !word.starts_with("--mount="));
        let command = words.collect::<Vec<_>>().join(" ").replace("/out/pointsman", out.to_str().unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-ec", &command]).current_dir(dir.path()).env("GUIDED", guided);
        let done = shell.env("PATH", format!("{}/bin:/usr/bin:/bin", dir.path().display())).output().unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
        std::fs::read_to_string(out).unwrap()
    };
    assert!(built("").ends_with("cargo build --locked --release --bin pointsman\n"));
    assert_eq!(built("yes").trim(), "benches/pgo");
}

fn sources(dir: &std::path::Path) -> Vec<(std::path::PathBuf, String)> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lines.extend(sources(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            lines.extend(text.lines().map(|line| (path.clone(), line.to_owned())));
        }
    }
    lines
}

async fn kubernetes() -> Vec<Value> {
    let files = folder("deploy/kubernetes");
    documents(&files.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// `45s` as a time.
fn seconds(text: &str) -> Duration {
    Duration::from_secs(text.strip_suffix('s').and_then(|number| number.parse().ok()).expect("seconds"))
}
