//! Everything on one machine: four simulated providers, a gateway, gentle traffic, and
//! three commands to paste. Leaves nothing behind.

mod fleet;
mod puppet;
mod traffic;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use secrecy::ExposeSecret;

use crate::admin::Puppet;
use crate::app::{App, TOKEN_VARIABLE};
use crate::config;
use crate::simulate::Simulator;
use fleet::{ALIASES, FLEET, configuration};
use puppet::Simulated;

/// Options of the demo.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Port of the gateway; 0 for any that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Port of the admin listener; 0 for any that is free.
    #[arg(long, default_value_t = 8081)]
    admin_port: u16,
    /// Port of the first simulated provider, the others follow; 0 for any that are free.
    #[arg(long, default_value_t = 9101)]
    providers_port: u16,
    /// Requests per second of background traffic; 0 for none.
    #[arg(long, default_value_t = 6.0)]
    rate: f64,
    /// Seconds between two tables of the traffic.
    #[arg(long, default_value_t = 5.0)]
    every: f64,
}

/// Runs the demo until `ended` resolves.
///
/// # Errors
/// If a port is taken.
pub async fn run(args: DemoArgs, ended: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut simulators = Vec::with_capacity(FLEET.len());
    for (i, member) in (0u16..).zip(&FLEET) {
        let port = if args.providers_port == 0 { 0 } else { args.providers_port.saturating_add(i) };
        let addr = loopback(port);
        let simulator = Simulator::start(addr, member.name, member.protocol, member.behaviour(), u64::from(i))
            .await
            .with_context(|| format!("cannot listen on {addr}; `--providers-port 0` takes any free ports"))?;
        simulators.push(simulator);
    }
    let base_urls: Vec<String> = simulators.iter().map(Simulator::base_url).collect();
    let text = configuration(loopback(args.port), loopback(args.admin_port), &base_urls);
    let file = config::parse_file(&text, &|_| None, &|path| std::fs::read_to_string(path))
        .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let puppets = FLEET
        .iter()
        .zip(&simulators)
        .map(|(member, simulator)| -> Arc<dyn Puppet> { Arc::new(Simulated { member, handle: simulator.handle() }) });
    let app = App::start(file, None, puppets.collect())
        .await
        .context("the demo's ports are taken; `--port 0 --admin-port 0` takes any free ones")?;
    let key = app.first_key.as_ref().map(|key| key.expose_secret().to_owned()).unwrap_or_default();

    introduce(&app, &key, &simulators);
    // Everything is on this machine and in the clear: no roots are needed.
    let client = reqwest::Client::builder().tls_certs_only([]).build()?;
    let traffic =
        traffic::run(client, app.data_addr, key, args.rate, Duration::from_secs_f64(args.every.clamp(0.1, 3600.0)));
    let until = async {
        tokio::select! {
            () = ended => {}
            () = traffic => {}
        }
    };
    app.run_until(until, std::future::pending).await?;
    for simulator in simulators {
        simulator.stop().await;
    }
    println!("\nthe demo has ended; nothing is left behind");
    Ok(())
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn introduce(app: &App, key: &str, simulators: &[Simulator]) {
    let gateway = format!("http://{}", app.data_addr);
    println!("Pointsman demo: a gateway over four simulated providers, all on this machine.\n");
    println!("  gateway   {gateway}/v1   key {key}");
    match &app.first_token {
        Some(token) => println!("  dashboard http://{}/   token {}", app.admin_addr, token.expose_secret()),
        None => println!("  dashboard http://{}/   token as in {TOKEN_VARIABLE}", app.admin_addr),
    }
    for (member, simulator) in FLEET.iter().zip(simulators) {
        println!(
            "  provider  {:<6} {:<9} {}  {}",
            member.name,
            member.protocol.as_str(),
            simulator.addr(),
            member.character
        );
    }
    println!("\nAn alias for each strategy, all over the same four:\n");
    for alias in ALIASES {
        println!("  {:<9} {}", alias.name, alias.strategy);
    }
    println!("\nA chat through the alias `chat`, and who served it:\n");
    println!(
        "  curl -si {gateway}/v1/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' \\\n    -d '{{\"model\":\"chat\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello!\"}}]}}'"
    );
    println!("\nThe same streamed, through `fastest`:\n");
    println!(
        "  curl -sN {gateway}/v1/chat/completions -H 'authorization: Bearer {key}' -H 'content-type: application/json' \\\n    -d '{{\"model\":\"fastest\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello!\"}}]}}'"
    );
    println!("\nWhere `fastest` would send a request now, and why:\n");
    // As this process was started, so that it can be pasted.
    let pointsman = std::env::args().next().unwrap_or_else(|| "pointsman".to_owned());
    if let Some(token) = &app.first_token {
        println!("  export {TOKEN_VARIABLE}={} POINTSMAN_ADMIN=http://{}", token.expose_secret(), app.admin_addr);
    }
    println!("  {pointsman} explain fastest 'Hello!'");
    println!("\nEverything can be changed while it runs, and the next request follows; `{pointsman} help` has more:\n");
    println!("  {pointsman} alias set chat --strategy lowest-price");
    if let (Some(first), Some(member)) = (simulators.first(), FLEET.first()) {
        let addr = first.addr();
        println!("\nBreak `{}` for twenty seconds, and watch its traffic move away and come back:\n", member.name);
        println!(
            "  curl -s -X PATCH http://{addr}/_sim/behaviour -d '{{\"faults\":[{{\"share\":1,\"kind\":\"status\",\"code\":503}}]}}'; sleep 20; \\\n    curl -s -X PATCH http://{addr}/_sim/behaviour -d '{{\"faults\":[]}}'"
        );
    }
    println!("\nTraffic, by who served it (Ctrl-C ends the demo):\n");
}
