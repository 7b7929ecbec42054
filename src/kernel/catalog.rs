//! Which kernels there are: the tables of those built in and of those a program adds.

use super::Kernel;
use crate::error::{Error, Explained, nearest};

/// The kernels of this program, by name.
#[derive(Clone)]
pub(crate) struct Catalog {
    kernels: Vec<&'static dyn Kernel>,
}

impl Catalog {
    /// Joins tables; of two kernels with the same name the later one counts.
    pub(crate) fn new(tables: &[&[&'static dyn Kernel]]) -> Self {
        let mut kernels: Vec<&'static dyn Kernel> = Vec::new();
        for kernel in tables.iter().flat_map(|table| table.iter().copied()) {
            kernels.retain(|known| known.name() != kernel.name());
            kernels.push(kernel);
        }
        Self { kernels }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static dyn Kernel> {
        self.kernels.iter().copied()
    }

    /// Finds a kernel by name.
    pub(crate) fn find(&self, name: &str) -> Result<&'static dyn Kernel, Error> {
        self.iter().find(|kernel| kernel.name() == name).ok_or_else(|| {
            let hint = nearest(name, self.iter().map(|kernel| kernel.name())).map_or_else(
                || "`spmd kernels` lists them".to_owned(),
                |name| format!("did you mean `{name}`?"),
            );
            Error::KernelMissing(Explained::new(format!("there is no kernel `{name}`")).hint(hint))
        })
    }
}
