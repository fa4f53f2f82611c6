//! Connections that are only there to be there.

use std::net::Ipv4Addr;

use super::{Attacked, Raw, head, statuses, whole};
use crate::support::bystander::Bystander;
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn when_all_places_are_taken_those_that_idle_make_room() {
    let attacked = Attacked::new("max_connections = 60").await;
    let bystander = Bystander::of(&attacked.gateway).await;
    // A stream whose provider says nothing for a while is no idle connection.
    let mut waiting = attacked.connect().await;
    waiting.send(whole("hanging", true)).await.unwrap();
    eventually("the provider is asked", async || attacked.hanging.stats().await["in_flight"] == 1).await;

    let before = attacked.gateway.descriptors();
    let mut idle = Vec::new();
    for i in 0..400 {
        let mut raw = attacked.connect().await;
        // Those with half a head are idle, too.
        raw.send(if i % 2 == 0 { String::new() } else { head("/v1/models") }).await.unwrap();
        idle.push(raw);
    }
    let mut late = attacked.connect().await;
    late.send(whole("a", false)).await.unwrap();
    assert_eq!(statuses(&late.first().await), [200], "whoever comes late is let in");
    let now = attacked.gateway.descriptors();
    assert!(now <= before + 70, "{now} descriptors, {before} before");
    assert!(attacked.ended("evicted").await >= 340);
    assert_eq!(attacked.hanging.stats().await["in_flight"], 1, "whoever waits for an answer stays");
    assert!(bystander.was_served().await.served > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_have_only_so_many_connections() {
    let attacked = Attacked::new("max_connections_per_address = 5").await;
    let connect = async || attacked.connect().await;
    let mut all = vec![connect().await, connect().await, connect().await, connect().await, connect().await];
    let mut sixth = connect().await;
    let _ = sixth.send(whole("a", false)).await;
    assert_eq!(sixth.rest().await, b"", "it is closed without a word");
    assert_eq!(attacked.ended("over_address").await, 1);
    let mut other = Raw::to(attacked.address(), Ipv4Addr::new(127, 0, 0, 2)).await;
    other.send(whole("a", false)).await.unwrap();
    assert_eq!(statuses(&other.first().await), [200], "another address has its own");
    all.truncate(2);
    eventually("their places are free again", async || {
        let mut again = connect().await;
        let _ = again.send(whole("a", false)).await;
        statuses(&again.first().await) == [200]
    })
    .await;
}
