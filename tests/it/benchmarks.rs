//! Kernels that measure: STREAM, whose arrays are its own; the Mandelbrot set, which is a picture;
//! chains of steps. What they compute is worked out here once more, from the formulas of their files.

use std::fs;
use std::io::Cursor;

use crate::npy;
use crate::sandbox::{Outcome, Sandbox};
use crate::values::Type;

/// The operands of STREAM, as `kernels/stream.rs` says.
fn operands(index: u64) -> [f64; 2] {
    [(1 + index % 1021) as f64, (1 + index % 1031) as f64]
}

fn stream(kernel: &str, scalar: f64, index: u64) -> f64 {
    let [a, b] = operands(index);
    match kernel {
        "copy" => a,
        "scale" => scalar * a,
        "add" => a + b,
        "triad" => a + scalar * b,
        other => panic!("{other}"),
    }
}

fn bytes(values: impl Iterator<Item = f64>) -> Vec<u8> {
    values.flat_map(f64::to_le_bytes).collect()
}

fn digest(done: &Outcome) -> String {
    done.json()["result"]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn stream_computes_its_four_formulas() {
    let sandbox = Sandbox::new();
    let size = 5000;
    for kernel in ["copy", "scale", "add", "triad"] {
        let scaled = ["scale", "triad"].contains(&kernel);
        for (param, scalar) in [("", 3.0), ("--param scalar=-0.5", -0.5)] {
            if !scaled && !param.is_empty() {
                continue;
            }
            let wide = bytes((0..size).map(|i| stream(kernel, scalar, i)));
            let narrow: Vec<u8> =
                (0..size).flat_map(|i| (stream(kernel, scalar, i) as f32).to_le_bytes()).collect();
            for (dtype, expected) in [("f64", wide), ("f32", narrow)] {
                for world in ["-n 1", "-n 3 --schedule dynamic,100", "-n 3 --schedule static"] {
                    let arguments = format!("{world} -k {kernel} {param} --size {size}");
                    let more = format!("--dtype {dtype} --verify full --output y.bin");
                    sandbox.spmd(&format!("{arguments} {more}")).run().ok();
                    assert!(sandbox.read("y.bin") == expected, "{arguments} {more}");
                }
            }
        }
    }
}

#[test]
fn the_arrays_of_a_kernel_are_there_again_after_any_death() {
    let sandbox = Sandbox::new();
    let run = |more: &str| {
        let arguments = "-n 3 -k triad --size 60_000 --schedule dynamic,1000 --verify full --json";
        sandbox.spmd(&format!("{arguments} {more}")).run().ok()
    };
    let expected = digest(&run(""));
    for fault in [
        "kill:rank=1,point=attached",
        "kill:rank=1,point=prepare.mid",
        "kill:rank=0,point=barrier.before",
        "kill:rank=2,point=barrier.exit",
        "kill:chunk=7",
        "kill:chunk=7,times=2",
        "kill:chunk=20,point=commit.before",
        "segv:chunk=30", // Everything is made again, the arrays too.
    ] {
        let done = run(&format!("--inject {fault}"));
        assert_eq!(digest(&done), expected, "{fault}");
        assert!(done.json()["recovered"].as_u64().unwrap() > 0, "{fault}: {}", done.told());
    }
}

#[test]
fn the_arrays_of_a_kernel_are_kept_over_many_passes() {
    let sandbox = Sandbox::new();
    let run = |more: &str| {
        let arguments = "-n 2 -k triad --size 60_000 --schedule dynamic,1000 --verify full --json";
        digest(&sandbox.spmd(&format!("{arguments} {more}")).run().ok())
    };
    let once = run("");
    assert_eq!(run("--warmup 1 --repeats 3"), once);
    assert_eq!(run("--repeats 3 --inject kill:chunk=7,nth=2 --backing memfd"), once);
}

#[test]
fn a_run_with_arrays_of_its_own_goes_on_from_a_checkpoint() {
    let sandbox = Sandbox::new();
    let arguments = "-k triad --size 60_000 --schedule dynamic,1000 --checkpoint c --output y.bin";
    sandbox
        .spmd(&format!("-n 2 {arguments} --inject kill:chunk=40,times=9 --retries 1"))
        .run()
        .failed(1, "chunk 40");
    assert_eq!(sandbox.names(), ["c"]);
    let done = sandbox.spmd(&format!("-n 3 {arguments} --verify full --json")).run().ok();
    assert!(done.json()["resumed"].as_u64().unwrap() > 0, "{}", done.told());
    assert!(sandbox.read("y.bin") == bytes((0..60_000).map(|i| stream("triad", 3.0, i))));
    assert_eq!(sandbox.names(), ["y.bin"]);
}

#[test]
fn a_plan_counts_the_arrays_of_the_kernel() {
    let sandbox = Sandbox::new();
    let plan = |kernel: &str| {
        let done =
            sandbox.spmd(&format!("plan -n 2 -k {kernel} --size 1Mi --dtype f64")).run().ok();
        done.text().to_owned()
    };
    assert!(plan("square").contains("# 8.0 MiB of results, 64.0 KiB of bookkeeping"));
    assert!(plan("copy").contains("# 8.0 MiB of results, 8.0 MiB of operands, 64.0 KiB of"));
    assert!(plan("triad").contains("# 8.0 MiB of results, 16.0 MiB of operands, 64.0 KiB of"));
    // As STREAM counts: what is named in the loop.
    let list = sandbox.spmd("kernels").run().ok();
    for (kernel, bytes, flops) in
        [("copy", "16", "0"), ("scale", "16", "1"), ("add", "24", "1"), ("triad", "24", "2")]
    {
        let line = list.text().lines().find(|line| line.starts_with(kernel)).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1..3], [bytes, flops], "{line}");
    }
}

#[test]
fn an_input_that_would_not_be_read_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("in.npy", npy::little(Type::F64, &[3], &[0, 0, 0]));
    for kernel in ["triad", "chain", "mandelbrot"] {
        for input in ["1,2,3", "range:3:10", "in.npy"] {
            sandbox
                .spmd(&format!("-k {kernel} --input {input} --output y.bin"))
                .run()
                .failed(2, &format!("kernel `{kernel}` reads no input"));
        }
        sandbox
            .spmd(&format!("-k {kernel} --in-place --output y.bin"))
            .run()
            .failed(2, &format!("kernel `{kernel}` reads no input, so there is none to overwrite"));
    }
    assert_eq!(sandbox.names(), ["in.npy"]);
    // How many indices there are may be said either way.
    let run = |more: &str| digest(&sandbox.spmd(&format!("-k triad --json {more}")).run().ok());
    assert_eq!(run("--size 1000"), run("--input range:0:1000"));
}

/// How many steps a point takes to leave, by the definition and nothing else.
fn escape(x: f64, y: f64, most: u64) -> u64 {
    let (mut re, mut im) = (0.0_f64, 0.0_f64);
    let mut taken = 0;
    while taken < most && re * re + im * im <= 4.0 {
        let next = re * re - im * im + x;
        im = 2.0 * re * im + y;
        re = next;
        taken += 1;
    }
    taken
}

#[test]
fn the_mandelbrot_set_is_what_an_independent_loop_finds() {
    let sandbox = Sandbox::new();
    let (width, height, most) = (60, 40, 100);
    // Steps of 1/20: the middles of the pixels are at odd multiples of 1/40.
    let expected: Vec<u64> = (0..height)
        .flat_map(|row| (0..width).map(move |column| (row, column)))
        .map(|(row, column)| {
            let from_middle = |at: i32, side: i32| f64::from(2 * at + 1 - side) / 2.0;
            let (x, y) = (from_middle(column, width), from_middle(row, height));
            escape(-0.5 + x * (3.0 / 60.0), 0.0 - y * (3.0 / 60.0), most)
        })
        .collect();
    let shape = [40, 60];
    for kind in Type::ALL {
        let arguments = format!(
            "-n 3 -k mandelbrot --param width={width} --param height={height} --param iterations={most} \
             --dtype {} --output m.npy --verify full",
            kind.name()
        );
        sandbox.spmd(&arguments).run().ok();
        let file = sandbox.read("m.npy");
        let bits: Vec<u64> = expected.iter().map(|&steps| kind.bits(steps.into())).collect();
        assert!(npy::payload(&file, kind, &shape) == kind.bytes(&bits), "{arguments}");
    }
    let stay = expected.iter().filter(|&&steps| steps == most).count();
    // The set has an area of 1.5066; a pixel has one of 1/400.
    assert!((560..680).contains(&stay), "{stay} pixels stay");
    let rows: Vec<&[u64]> = expected.chunks(60).collect();
    assert!(rows.iter().eq(rows.iter().rev()), "not symmetric about the real axis");
}

/// Reads a picture: its width, its height, its colours.
fn picture(file: &[u8]) -> (u32, u32, Vec<[u8; 3]>) {
    let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((frame.color_type, frame.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
    let colours = bytes.chunks_exact(3).map(|colour| colour.try_into().unwrap()).collect();
    (frame.width, frame.height, colours)
}

#[test]
fn a_picture_has_the_same_bytes_for_any_world() {
    let sandbox = Sandbox::new();
    sandbox.write("m.png", "old");
    let run = |more: &str| {
        let size = "--param width=121 --param height=81 --param iterations=50";
        let done = sandbox.spmd(&format!("-k mandelbrot {size} --output m.png {more}")).run();
        done.ok();
        sandbox.read("m.png")
    };
    let expected = run("-n 1");
    for world in [
        "-n 3 --schedule dynamic,7",
        "-n 2 --schedule static --dtype f64",
        "-n 3 --inject kill:chunk=3 --verify full",
        "-n 2 --checkpoint c",
    ] {
        assert!(run(world) == expected, "{world}");
    }
    assert_eq!(sandbox.names(), ["m.png"]);
    let (width, height, colours) = picture(&expected);
    assert_eq!((width, height), (121, 81));
    let rows: Vec<&[[u8; 3]]> = colours.chunks(121).collect();
    assert!(rows.iter().eq(rows.iter().rev()), "not symmetric about the real axis");
    // What stays is black, and nothing else is: the middle of the picture is, its corners are not.
    assert_eq!(rows[40][60], [0; 3]);
    assert!(![0, 120].iter().any(|&column| rows[0][column] == [0; 3]));
}

#[test]
fn a_picture_that_fails_leaves_the_old_one() {
    let sandbox = Sandbox::new();
    sandbox.write("m.png", "old");
    sandbox
        .spmd("-n 2 -k mandelbrot --output m.png --inject kill:chunk=3 --on-death fail")
        .run()
        .failed(1, "chunk 3");
    assert_eq!(fs::read(sandbox.path("m.png")).unwrap(), b"old");
    assert_eq!(sandbox.names(), ["m.png"]);
}

#[test]
fn what_is_no_picture_is_not_drawn() {
    let sandbox = Sandbox::new();
    sandbox
        .spmd("-k square --output m.png")
        .run()
        .failed(2, "output `m.png` is to be a picture, and kernel `square` makes none")
        .says("hint: a file that ends in .npy");
    sandbox
        .spmd("-k mandelbrot --size 1000 --output m.png")
        .run()
        .failed(2, "makes a picture of 640 x 480 = 307200 pixels, and the size asked for is 1000");
    sandbox.spmd("-k square --input m.png").run().failed(2, "neither numbers nor a known file");
    assert_eq!(sandbox.names(), [""; 0]);
    // The size of the picture may be said.
    let size = "--param width=20 --param height=10 --size 200";
    let done = sandbox.spmd(&format!("-k mandelbrot {size} --json")).run().ok();
    assert_eq!(done.json()["result"]["shape"], serde_json::json!([10, 20]));
}

/// 64 random bits, as `kernels/chain.rs` says.
fn random(seed: u64, index: u64) -> u64 {
    let z = u128::from(seed) * 0xd134_2543_de82_ef95 + u128::from(index) * 0x9e37_79b9_7f4a_7c15;
    let mut z = z as u64;
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb)] {
        z = (u128::from(z ^ (z >> shift)) * u128::from(factor)) as u64;
    }
    z ^ (z >> 31)
}

/// The picture that one of the shapes of `chain` is the cost of.
fn image() -> Vec<i128> {
    let one: i128 = 1 << 20;
    let mut image = Vec::new();
    for row in 0..64 {
        for column in 0..64 {
            let (x, y) = ((2 * column + 1) * 24576 - 2_097_152, (2 * row + 1) * 24576 - 1_572_864);
            let (mut re, mut im, mut count) = (0, 0, 0);
            while count < 256 && re * re / one + im * im / one <= 4 * one {
                (re, im) = (re * re / one - im * im / one + x, 2 * re * im / one + y);
                count += 1;
            }
            image.push(count);
        }
    }
    image
}

#[test]
fn a_chain_takes_the_steps_that_its_formulas_say() {
    let sandbox = Sandbox::new();
    let (size, mean, seed): (i128, i128, u64) = (3000, 50, 7);
    let image = image();
    let bump = |p: i128, centre: i128| {
        let q = 8192 * 8192 - (p - centre) * (p - centre);
        if q <= 0 { 0 } else { q * q / (1 << 36) }
    };
    let steps = |shape: &str, i: i128| {
        let p = i * 65536 / size;
        match shape {
            "constant" => mean,
            "linear" => (2 * i + 1) * mean / size,
            "heavy" => {
                let d = i128::from(random(seed, i as u64) / (1 << 54)) + 1;
                mean * 1_024_000 / (7509 * d)
            }
            "humps" => mean * (131_072 + 30 * bump(p, 16384) + 15 * bump(p, 49152)) / 524_288,
            _ => mean * 4096 * image[(p / 16) as usize] / image.iter().sum::<i128>(),
        }
    };
    for shape in ["constant", "linear", "heavy", "humps", "mandelbrot"] {
        let expected = bytes((0..size).map(|i| {
            let mut v = (random(seed, i as u64) / (1 << 11)) as f64 * 0.5_f64.powi(53);
            for _ in 0..steps(shape, i) {
                let scaled = v * 0.999_999;
                v = scaled + 0.000_001;
            }
            v
        }));
        for world in ["-n 1", "-n 3 --schedule dynamic,7 --verify full"] {
            let params = format!("--param steps={mean} --param shape={shape} --seed {seed}");
            let arguments = format!("{world} -k chain {params} --size {size} --output y.bin");
            sandbox.spmd(&arguments).run().ok();
            assert!(sandbox.read("y.bin") == expected, "{arguments}");
        }
    }
}
