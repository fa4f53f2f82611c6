//! Which of several servers is the master? The sentinels that watch them say so.

use std::time::Duration;

use redis::cmd;

use super::dial::{Dial, Dialed};
use super::socket::Place;
use crate::config::redis::HostPort;
use crate::fleet::error::LinkError;

/// How often the sentinels are asked whether the master is still the same.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(2);

/// A sentinel that has not answered by then is passed over.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a sentinel answers: the host and the port, if it knows of such a master.
pub(super) type MasterAddress = Option<(String, u16)>;

/// Asks one sentinel after the other where the master is.
pub(super) async fn master(dial: &Dial, sentinels: &[HostPort], name: &str) -> Result<Place, LinkError> {
    let mut why = LinkError::Down("there is no sentinel".into());
    for sentinel in sentinels {
        match ask(dial, sentinel, name).await {
            Ok(place) => return Ok(place),
            Err(error) => why = error,
        }
    }
    Err(why)
}

async fn ask(dial: &Dial, sentinel: &HostPort, name: &str) -> Result<Place, LinkError> {
    let Dialed { mut connection, driver, .. } = dial.connect_to_sentinel(&Place::Tcp(sentinel.clone())).await?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let asked = async {
        tokio::select! {
            () = driver => Err(LinkError::Lost(format!("sentinel {sentinel}").into())),
            answer = question.query_async(&mut connection) => answer.map_err(|error| LinkError::of(&error)),
        }
    };
    let answer: MasterAddress =
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_| LinkError::Timeout(PATIENCE))??;
    let (host, port) =
        answer.ok_or_else(|| LinkError::Down(format!("sentinel {sentinel} knows no master {name:?}").into()))?;
    Ok(Place::Tcp(HostPort { host, port }))
}
