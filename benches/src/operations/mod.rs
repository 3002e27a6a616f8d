//! The catalogue of operations.

mod cluster;
mod engine;
mod frame;
mod json;
mod msgpack;

/// One thing to measure.
#[derive(Clone, Copy)]
pub struct Operation {
    /// What it is called in tables and in `baseline.json`: codec, direction, payload.
    pub name: &'static str,
    make: fn() -> Box<dyn FnMut()>,
}

impl Operation {
    const fn new(name: &'static str, make: fn() -> Box<dyn FnMut()>) -> Self {
        Self { name, make }
    }

    /// Prepares the operation; calling the result carries it out once. It was carried out twice
    /// already, so that what happens only once is over.
    #[must_use]
    pub fn prepare(&self) -> Box<dyn FnMut()> {
        let mut run = (self.make)();
        run();
        run();
        run
    }
}

/// All operations.
pub fn operations() -> impl Iterator<Item = Operation> {
    [
        cluster::OPERATIONS,
        engine::OPERATIONS,
        frame::OPERATIONS,
        json::OPERATIONS,
        msgpack::OPERATIONS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The operation of this name.
#[must_use]
pub fn find(name: &str) -> Option<Operation> {
    operations().find(|operation| operation.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn every_operation_works_and_has_a_name_of_its_own() {
        let mut names = HashSet::new();
        for operation in super::operations() {
            operation.prepare()();
            assert!(
                names.insert(operation.name),
                "{} is there twice",
                operation.name
            );
        }
    }
}
