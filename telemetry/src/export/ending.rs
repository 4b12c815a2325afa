//! The end of the process, as far as exports are concerned.

use tokio::sync::watch;

/// Whether exports have to give back what they hold: as many shutdowns want it to be written now as
/// is counted here.
#[derive(Debug, Default)]
pub(super) struct Ending(watch::Sender<usize>);

/// Until this is dropped, nothing is exported.
#[derive(Debug)]
pub(super) struct Announced<'a>(&'a Ending);

impl Ending {
    pub(super) fn announce(&self) -> Announced<'_> {
        self.0.send_modify(|count| *count += 1);
        Announced(self)
    }

    /// Completes once the end has been announced, and at once where it has been already.
    pub(super) async fn announced(&self) {
        // The sender is in `self`: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|count| *count > 0).await;
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
