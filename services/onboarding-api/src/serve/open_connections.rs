//! The open connections, and their maximum number.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::warn;

use crate::repeated_events::{EventKind, RepeatedEvents};
use crate::serve::activity::Activity;

/// Divisor of the maximum that gives the number of connections closed at once. One search for the
/// oldest connections then makes room for several new ones.
const CLOSED_DIVISOR: usize = 64;

/// The open connections and their tasks.
///
/// If there are too many, connections of the peer that has the most are closed, first those that
/// have waited longest for a complete request. A peer that only opens connections therefore loses
/// its own.
#[derive(Debug)]
pub(super) struct OpenConnections {
    maximum: usize,
    tasks: JoinSet<()>,
    connections: HashMap<Id, OpenConnection>,
    peers: HashMap<IpAddr, usize>,
    next_position: Arc<AtomicU64>,
    events: Arc<RepeatedEvents>,
}

#[derive(Debug)]
struct OpenConnection {
    peer: IpAddr,
    activity: Arc<Activity>,
    task: AbortHandle,
}

impl OpenConnections {
    pub(super) fn new(maximum: usize, events: Arc<RepeatedEvents>) -> Self {
        Self {
            maximum,
            tasks: JoinSet::new(),
            connections: HashMap::new(),
            peers: HashMap::new(),
            next_position: Arc::default(),
            events,
        }
    }

    /// Starts the task of a connection. Closes the connection instead if the maximum is reached and
    /// every other connection has a request in progress.
    pub(super) fn start<F>(&mut self, address: IpAddr, serve: impl FnOnce(Arc<Activity>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.connections.len() >= self.maximum {
            self.close_oldest();
            if self.connections.len() >= self.maximum {
                return;
            }
        }
        let activity = Arc::new(Activity::new(Arc::clone(&self.next_position)));
        let task = self.tasks.spawn(serve(Arc::clone(&activity)));
        let peer = peer(address);
        *self.peers.entry(peer).or_default() += 1;
        let connection = OpenConnection {
            peer,
            activity,
            task: task.clone(),
        };
        self.connections.insert(task.id(), connection);
    }

    /// Waits until a connection is closed. Returns `None` if there is none.
    pub(super) async fn wait_for_next(&mut self) -> Option<()> {
        let closed = self.tasks.join_next_with_id().await?;
        let id = closed.map_or_else(|error: JoinError| error.id(), |(id, ())| id);
        self.remove(id);
        Some(())
    }

    /// Closes all connections, and waits until their requests are dropped.
    pub(super) async fn close_all(&mut self) {
        self.tasks.shutdown().await;
    }

    /// Closes the connections that have waited longest.
    pub(super) fn close_oldest(&mut self) {
        let mut idle: Vec<(Reverse<usize>, u64, Id)> = self
            .connections
            .iter()
            .filter_map(|(id, connection)| {
                let position = connection.activity.idle_position()?;
                let count = self.peers.get(&connection.peer).copied();
                Some((Reverse(count.unwrap_or_default()), position, *id))
            })
            .collect();
        let count = (self.maximum / CLOSED_DIVISOR).max(1).min(idle.len());
        if let Some(last) = count.checked_sub(1) {
            idle.select_nth_unstable_by_key(last, |(peer, position, _)| (*peer, *position));
        }
        let mut closed = 0;
        for (_, _, id) in idle.into_iter().take(count) {
            let Some(connection) = self.connections.get(&id) else {
                continue;
            };
            // A request may have been completed in the meantime.
            if connection.activity.try_close() {
                connection.task.abort();
                self.remove(id);
                closed += 1;
            }
        }
        // If none is idle, the new connection is closed.
        let closed = closed.max(1);
        self.events
            .record(EventKind::ConnectionsClosed, closed, || {
                warn!(
                    count = closed,
                    "too many connections: closed the oldest idle ones"
                );
            });
    }

    /// Removes a connection from the maps, unless it has been removed before.
    fn remove(&mut self, id: Id) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Some(count) = self.peers.get_mut(&connection.peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&connection.peer);
            }
        }
    }
}

/// Returns the address that identifies a peer. For IPv6 it is a network of 64 bits, because a
/// single host usually has all addresses of one.
fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_and_a_mapped_ipv4_address_are_one_peer() {
        let parse = |text: &str| peer(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
    }
}
