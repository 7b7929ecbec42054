//! The page as a browser shows it: a Chromium without a screen draws it, on light and on dark, narrow and wide,
//! and what is judged is the picture.

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashSet;
    use std::fs::{self, File};
    use std::os::unix::process::CommandExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use serde_json::Value;

    use crate::data::testing::Folder;
    use crate::scale::report::tests::{studies, study};

    /// A start of the browser may take so long on a machine that is busy.
    const DEADLINE: Duration = Duration::from_secs(120);

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Scheme {
        Dark = 0,
        Light = 1,
    }

    /// A browser that ends with the test.
    struct Running(Child);

    impl Drop for Running {
        fn drop(&mut self) {
            // Its helpers are of its group.
            let group = i32::try_from(self.0.id()).unwrap();
            // SAFETY: the call takes two numbers; the group is that of a child of ours that is not reaped.
            #[expect(unsafe_code, reason = "the standard library ends one process, not a group")]
            unsafe {
                libc::kill(-group, libc::SIGKILL)
            };
            let _ = self.0.wait();
        }
    }

    /// Where the page lies, and the browser that shows it.
    struct Shown {
        browser: PathBuf,
        folder: Folder,
        /// How often the browser was started: each time with a folder of its own, as if for the first time.
        started: Cell<u32>,
    }

    fn browser() -> Option<PathBuf> {
        let named = std::env::var_os("SPMD_TEST_CHROMIUM").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let usual = std::env::split_paths(&path)
            .flat_map(|folder| names.map(|name| folder.join(name)))
            .find(|program| program.is_file());
        named.or(usual)
    }

    impl Shown {
        /// Starts the browser with these, and returns what it wrote to stdout.
        fn run(&self, arguments: &[String]) -> String {
            self.started.set(self.started.get() + 1);
            let profile = self.folder.path(format!("profile-{}", self.started.get()));
            let written = self.folder.path("stdout");
            let mut command = Command::new(&self.browser);
            command
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
                .args(["--no-first-run", "--disable-background-networking"])
                .args(["--disable-component-update", "--disable-sync", "--hide-scrollbars"])
                .args(["--allow-file-access-from-files", "--force-device-scale-factor=1"])
                .arg(format!("--user-data-dir={}", profile.display()))
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(File::create(&written).unwrap())
                .stderr(Stdio::null())
                .process_group(0);
            let mut running = Running(command.spawn().unwrap());
            let begun = Instant::now();
            while running.0.try_wait().unwrap().is_none() {
                assert!(begun.elapsed() < DEADLINE, "the browser does not end: {arguments:?}");
                std::thread::sleep(Duration::from_millis(20));
            }
            fs::read_to_string(written).unwrap()
        }

        /// Writes a page that shows the report in a frame of this size, and says where everything is. A window
        /// of its own cannot be as narrow as a telephone.
        fn framed(&self, report: &str, width: u32, height: u32, script: &str) -> String {
            let page = format!(
                "<!DOCTYPE html><meta charset=utf-8><meta name=color-scheme content='light dark'>\
                 <style>html,body{{margin:0}}iframe{{border:0;display:block;width:{width}px;height:{height}px}}</style>\
                 <iframe src={report}></iframe><script>{script}</script>"
            );
            let path = self.folder.path("frame.html");
            fs::write(&path, page).unwrap();
            format!("file://{}", path.display())
        }

        /// Returns where everything is at this width.
        fn layout(&self, report: &str, width: u32) -> Value {
            let page = self.framed(report, width, 1000, PROBE);
            let dom = self.run(&[
                "--dump-dom".into(),
                format!("--window-size={},1200", width.max(600)),
                page,
            ]);
            let found = dom.split("<pre>").nth(1).and_then(|rest| rest.split("</pre>").next());
            serde_json::from_str(found.unwrap_or_else(|| panic!("no layout in {dom}"))).unwrap()
        }

        fn picture(&self, width: u32, height: u32, scheme: Scheme) -> Pixels {
            let page = self.framed("report.html", width, height, "");
            let name = format!("{scheme:?}-{width}.png").to_lowercase();
            self.shot(&name, &page, [width.max(600), height + 200], scheme)
        }

        fn shot(
            &self,
            name: &str,
            page: &str,
            [width, height]: [u32; 2],
            scheme: Scheme,
        ) -> Pixels {
            let path = self.folder.path(name);
            self.run(&[
                format!("--screenshot={}", path.display()),
                format!("--window-size={width},{height}"),
                format!("--blink-settings=preferredColorScheme={}", scheme as u8),
                page.to_owned(),
            ]);
            if let Some(kept) = std::env::var_os("SPMD_TEST_SHOTS") {
                let _ = fs::copy(&path, Path::new(&kept).join(path.file_name().unwrap()));
            }
            Pixels::read(&path)
        }
    }

    /// What is asked in the page: sizes, what sticks out, the places of pictures and of the texts in each.
    const PROBE: &str = "onload=()=>{\
        const d=document.querySelector('iframe').contentDocument,e=d.documentElement,w=e.clientWidth;\
        const r=x=>{const b=x.getBoundingClientRect();return[b.left,b.top,b.right,b.bottom]};\
        const out=[...d.querySelectorAll('body *')].filter(x=>!x.closest('.wide')&&r(x)[2]>w+0.5).map(x=>x.tagName);\
        const figures=[...d.querySelectorAll('figure svg')].map(s=>({\
          name:s.getAttribute('aria-labelledby').split('-')[0],at:r(s),\
          texts:[...s.querySelectorAll('text')].map(t=>({at:r(t),text:t.textContent}))}));\
        const pre=document.createElement('pre');\
        pre.textContent=JSON.stringify({width:w,scroll:e.scrollWidth,height:e.scrollHeight,out,figures,\
          heading:r(d.querySelector('h1'))});\
        document.body.textContent='';document.body.append(pre)}";

    struct Pixels {
        width: u32,
        bytes: Vec<u8>,
        each: usize,
    }

    impl Pixels {
        fn read(path: &Path) -> Self {
            let file =
                File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
            let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut bytes).unwrap();
            assert_eq!(info.bit_depth, png::BitDepth::Eight);
            Self { width: info.width, each: info.color_type.samples(), bytes }
        }

        fn at(&self, x: u32, y: u32) -> [u8; 3] {
            let from = (y as usize * self.width as usize + x as usize) * self.each;
            self.bytes[from..from + 3].try_into().unwrap()
        }

        /// Every pixel of a part of the page.
        fn within(&self, at: &Value) -> impl Iterator<Item = [u8; 3]> {
            let [left, top, right, bottom] =
                [0, 1, 2, 3].map(|side| at[side].as_f64().unwrap().round().max(0.0) as u32);
            assert!(right > left && bottom > top, "{at}");
            (top..bottom)
                .flat_map(move |y| (left..right.min(self.width)).map(move |x| self.at(x, y)))
        }
    }

    /// Relative luminance, as WCAG defines it.
    fn luminance(colour: [u8; 3]) -> f64 {
        let linear = |part: u8| match f64::from(part) / 255.0 {
            part if part <= 0.040_45 => part / 12.92,
            part => ((part + 0.055) / 1.055).powf(2.4),
        };
        let [red, green, blue] = colour.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    fn contrast(one: [u8; 3], other: [u8; 3]) -> f64 {
        let [one, other] = [one, other].map(luminance);
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Where texts of one picture lie upon one another, or outside of it.
    fn muddles(figure: &Value) -> Vec<String> {
        let side = |at: &Value, side: usize| at[side].as_f64().unwrap();
        let texts = figure["texts"].as_array().unwrap();
        let mut found = Vec::new();
        for (at, text) in texts.iter().enumerate() {
            let outside = side(&text["at"], 0) < side(&figure["at"], 0) - 0.5
                || side(&text["at"], 2) > side(&figure["at"], 2) + 0.5;
            if outside {
                found.push(format!("{} sticks out of {}", text["text"], figure["name"]));
            }
            for other in &texts[at + 1..] {
                let apart = |low: usize, high: usize| {
                    side(&text["at"], high) - 1.5 < side(&other["at"], low)
                        || side(&other["at"], high) - 1.5 < side(&text["at"], low)
                };
                // Boxes of lines are taller than their letters.
                if !apart(0, 2) && !apart(1, 3) {
                    found.push(format!(
                        "{} upon {} in {}",
                        text["text"], other["text"], figure["name"]
                    ));
                }
            }
        }
        found
    }

    /// Returns what shows a report in a browser, if there is one.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn shown() -> Option<Shown> {
        let Some(browser) = browser() else {
            eprintln!("skipped: no chromium is installed (SPMD_TEST_CHROMIUM names one)");
            return None;
        };
        let folder = Folder::new();
        study().write(folder.root()).unwrap();
        Some(Shown { browser, folder, started: Cell::new(0) })
    }

    /// Says what is wrong with where things are: nothing may stick out, and no text lie upon another.
    fn faults(layout: &Value, width: u32) -> Vec<String> {
        let figures = layout["figures"].as_array().unwrap();
        let mut found: Vec<String> = figures.iter().flat_map(muddles).collect();
        if layout["scroll"] != width || layout["out"] != serde_json::json!([]) {
            found.push(format!("wider than {width}: {} {}", layout["scroll"], layout["out"]));
        }
        found
    }

    #[test]
    fn whatever_was_studied_no_text_lies_upon_another_and_nothing_sticks_out() {
        let Some(shown) = shown() else { return };
        for (name, findings) in studies() {
            let file = format!("{name}.html");
            let files = findings.files();
            let (_, text) = files.iter().find(|(name, _)| name == "report.html").unwrap();
            fs::write(shown.folder.path(&file), text).unwrap();
            for width in [400, 1400] {
                let layout = shown.layout(&file, width);
                assert_eq!(faults(&layout, width), Vec::<String>::new(), "{name} at {width}");
            }
        }
    }

    #[test]
    fn a_picture_alone_is_readable_on_dark_and_on_light() {
        let Some(shown) = shown() else { return };
        let page = format!("file://{}", shown.folder.path("speedup.svg").display());
        let [dark, light] = [Scheme::Dark, Scheme::Light].map(|scheme| {
            let name = format!("{scheme:?}-speedup.png").to_lowercase();
            shown.shot(&name, &page, [600, 700], scheme)
        });
        let at = serde_json::json!([0, 0, 420, 330]);
        for (picture, expected) in [(&dark, 0.0..0.05), (&light, 0.9..1.01)] {
            let ground = picture.at(2, 2);
            assert!(expected.contains(&luminance(ground)), "{ground:?}");
            let best = picture.within(&at).map(|pixel| contrast(pixel, ground)).fold(0.0, f64::max);
            assert!(best > 7.0, "{best}");
        }
    }

    #[test]
    fn the_page_is_readable_in_a_browser_on_dark_and_on_light_wide_and_narrow() {
        let Some(shown) = shown() else { return };
        for width in [400, 1400] {
            let layout = shown.layout("report.html", width);
            assert_eq!(layout["width"], width, "{layout}");
            assert_eq!(faults(&layout, width), Vec::<String>::new(), "at {width}");
            let figures = layout["figures"].as_array().unwrap();
            assert_eq!(figures.len(), 7, "{layout}");
            let height = layout["height"].as_u64().unwrap() as u32;
            let [dark, light] =
                [Scheme::Dark, Scheme::Light].map(|scheme| shown.picture(width, height, scheme));
            let [black, white] = [&dark, &light].map(|picture| picture.at(2, 2));
            assert!(luminance(black) < 0.05 && luminance(white) > 0.9, "{black:?} {white:?}");
            for (picture, ground) in [(&dark, black), (&light, white)] {
                // The letters are where the contrast is greatest.
                let text = picture
                    .within(&layout["heading"])
                    .max_by(|a, b| contrast(*a, ground).total_cmp(&contrast(*b, ground)))
                    .unwrap();
                assert!(contrast(text, ground) > 7.0, "{text:?} on {ground:?}");
                for figure in figures {
                    let all = picture.within(&figure["at"]).count();
                    let drawn: Vec<[u8; 3]> =
                        picture.within(&figure["at"]).filter(|pixel| *pixel != ground).collect();
                    let colours: HashSet<[u8; 3]> = drawn
                        .iter()
                        .filter(|[r, g, b]| r.abs_diff(*g).max(g.abs_diff(*b)) > 40)
                        .copied()
                        .collect();
                    let name = &figure["name"];
                    assert!(drawn.len() * 50 > all, "{name}: {} of {all} pixels", drawn.len());
                    assert!(!colours.is_empty(), "{name} is grey");
                    assert!(drawn.len() * 10 < all * 9, "{name} has a ground of its own");
                }
            }
        }
    }
}
