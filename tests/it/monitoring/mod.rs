//! Is what watches Pointsman true? Dashboards, rules and what runs it, held to the product, to
//! what others publish, and to a real Prometheus.

mod dashboards;
mod declared;
mod deploy;
mod faults;
mod files;
mod load;
mod prometheus;
mod promql;
mod rules;
mod scaled;
mod traffic;
