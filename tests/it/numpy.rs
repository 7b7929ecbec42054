//! The format's own implementation as judge, where it is installed.

use std::process::Command;

use crate::sandbox::{Sandbox, skipped};

pub(crate) fn python() -> Option<String> {
    let python = std::env::var("SPMD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import numpy"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skipped("no Python with numpy (SPMD_TEST_PYTHON names one)");
    None
}

const WRITE: &str = r"
import numpy as np, sys
rng = np.random.default_rng(1)
k = 0
for order in '<>':
    for code in ['i4', 'i8', 'u4', 'u8', 'f4', 'f8']:
        for shape in [(), (0,), (1,), (1000,), (7, 11), (3, 0, 2), (2, 3, 5, 7)]:
            values = rng.integers(0, 40000, shape)
            if code[0] == 'f':
                values = values / 7 - 1000
            elif code[0] == 'i':
                values = values - 20000
            np.save(f'in{k}.npy', np.asarray(values).astype(order + code))
            k += 1
np.save('fortran.npy', np.asfortranarray(np.ones((3, 4))))
np.save('complex.npy', np.ones(3, 'c16'))
np.save('object.npy', np.array([None]), allow_pickle=True)
print(k)
";

const CHECK: &str = r"
import numpy as np, sys
for k in range(int(sys.argv[1])):
    x, y = np.load(f'in{k}.npy'), np.load(f'out{k}.npy')
    assert y.shape == x.shape, (k, x.shape, y.shape)
    assert y.dtype == x.dtype.newbyteorder('<'), (k, x.dtype, y.dtype)
    x = x.astype(x.dtype.newbyteorder('='))
    assert y.flags.c_contiguous
    assert (x * x).astype(y.dtype).tobytes() == y.tobytes(), k
    again = f'again{k}.npy'
    np.save(again, y)
    assert open(again, 'rb').read() == open(f'out{k}.npy', 'rb').read(), k
";

#[test]
fn numpy_and_this_program_read_each_other() {
    let Some(python) = python() else { return };
    let sandbox = Sandbox::new();
    let wrote = sandbox.program(&python).arg("-c").arg(WRITE).deadline(120).run().ok();
    let count: usize = wrote.text().trim().parse().unwrap();
    for k in 0..count {
        let mode = if k % 2 == 0 { "" } else { "--in-place" };
        let arguments = format!("-n 3 -k square --input in{k}.npy --output out{k}.npy {mode}");
        sandbox.spmd(&arguments).run().ok();
    }
    let check = sandbox.program(&python).arg("-c").arg(CHECK).arg(count.to_string());
    check.deadline(120).run().ok();
    for name in ["fortran", "complex", "object"] {
        let refused = sandbox.spmd(&format!("-n 3 -k square --input {name}.npy")).run();
        refused.failed(2, &format!("{name}.npy"));
    }
}
