use proptest::prelude::*;

use super::*;

fn read(text: &str) -> RedisAddress {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn wrong(text: &str) -> String {
    text.parse::<RedisAddress>().unwrap_err().message
}

fn host(host: &str, port: u16) -> HostPort {
    HostPort { host: host.to_owned(), port }
}

#[test]
fn one_server() {
    let address = read("redis://redis.example.com");
    assert_eq!(address.topology, Topology::Single(host("redis.example.com", 6379)));
    assert_eq!((address.tls, address.database, &address.user, &address.password), (false, 0, &None, &None));
    let address = read("rediss://app:s%40cret@[::1]:7000/3");
    assert_eq!(address.topology, Topology::Single(host("::1", 7000)));
    assert_eq!((address.tls, address.database), (true, 3));
    assert_eq!(address.user.as_deref(), Some("app"));
    assert_eq!(address.password.unwrap().expose(), "s@cret");
}

#[test]
fn a_password_stands_without_a_user_and_may_hold_anything() {
    let address = read("redis://:p/a@ss:?#word@h");
    assert_eq!(address.user, None);
    assert_eq!(address.password.unwrap().expose(), "p/a@ss:?#word");
    assert_eq!(address.topology, Topology::Single(host("h", 6379)));
}

#[test]
fn a_cluster_and_sentinels() {
    let nodes = vec![host("a", 6379), host("b", 7001)];
    assert_eq!(read("redis+cluster://a,b:7001/").topology, Topology::Cluster(nodes));
    let address = read("rediss+sentinel://:x@a,b:7001/the%20master/2");
    let sentinels = vec![host("a", 26379), host("b", 7001)];
    assert_eq!(address.topology, Topology::Sentinel { sentinels, master: "the master".to_owned() });
    assert_eq!((address.tls, address.database), (true, 2));
}

#[test]
fn a_socket() {
    let address = read("unix:///run/re@dis.sock?db=2");
    assert_eq!((&address.topology, address.database), (&Topology::Unix("/run/re@dis.sock".into()), 2));
    let address = read("unix://app:x@/run/a@/b.sock");
    assert_eq!((&address.topology, address.user.as_deref()), (&Topology::Unix("/run/a@/b.sock".into()), Some("app")));
}

#[test]
fn what_is_wrong_is_named_and_never_repeated() {
    assert_eq!(wrong("localhost:6379"), "is not a URL: it has no scheme");
    assert_eq!(wrong("http://x"), "has a scheme that is not spoken here");
    assert_eq!(wrong("redis://"), "has no host, or an empty one in its list");
    assert_eq!(wrong("redis+cluster://a,,b"), "has no host, or an empty one in its list");
    assert_eq!(wrong("redis://a,b"), "has several hosts");
    assert_eq!(wrong("redis://a:0"), "has a port that is none");
    assert_eq!(wrong("redis://::1"), "has an IPv6 address without brackets");
    assert_eq!(wrong("redis://[x]:1"), "has brackets around what is no IPv6 address");
    assert_eq!(wrong("redis://a/x"), "has a database that is no number");
    assert_eq!(wrong("redis://a?x=1"), "has a query or a fragment");
    assert_eq!(wrong("redis://a b"), "has a host with characters that no host has");
    assert_eq!(wrong("redis+cluster://a/1"), "names a database or a path; a cluster has only the database 0");
    assert_eq!(wrong("redis+sentinel://a"), "does not say what the sentinels call the master");
    assert_eq!(wrong("unix://run/x"), "has no path that begins with a slash");
    assert_eq!(wrong("unix:///x?y=1"), "has a query other than db");
    assert_eq!(wrong("redis://:%zz@a"), "has a % that is not followed by two hexadecimal digits of UTF-8");
}

#[test]
fn what_leaves_the_machine_in_the_clear_is_known() {
    assert!(read("redis://redis.example.com").in_clear_to_elsewhere());
    assert!(read("redis+cluster://127.0.0.1,10.0.0.1").in_clear_to_elsewhere());
    for text in ["redis://localhost", "redis://[::1]:1", "rediss://redis.example.com", "unix:///x"] {
        assert!(!read(text).in_clear_to_elsewhere(), "{text}");
    }
}

#[test]
fn what_is_shown_can_be_read_again() {
    for text in [
        "unix:////+/%25o/",
        "unix:///run/a%3Fb%23c%20",
        "unix:///run/%C2%A0?db=3",
        "redis+sentinel://a/100%25%2F%40b%3F%20/2",
    ] {
        let address = read(text);
        assert_eq!(read(&address.to_string()), address, "{address}");
    }
}

#[test]
fn a_password_is_never_shown() {
    for text in ["redis://u:hunter2@a:1/2", "redis+cluster://:hunter2@a:1,b:2", "unix://:hunter2@/x?db=1"] {
        let address = read(text);
        assert!(!format!("{address} {address:?}").contains("hunter2"), "{address:?}");
        let bare = RedisAddress { password: None, user: None, ..address.clone() };
        assert_eq!(read(&address.to_string()), bare, "{address}");
    }
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "(rediss?(\\+cluster|\\+sentinel)?|unix)://.{0,40}") {
        if let Ok(address) = text.parse::<RedisAddress>() {
            let bare = RedisAddress { password: None, user: None, ..address.clone() };
            if !matches!(address.topology, Topology::Sentinel { .. } | Topology::Unix(_)) {
                prop_assert_eq!(address.to_string().parse(), Ok(bare));
            }
        }
    }
}
