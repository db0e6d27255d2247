/** Pictures to try, one click each. Their sources stand in examples/README.md. */

import { element } from "./dom.js";
import { text } from "./texts.js";

const EXAMPLES = [
  { file: "cat.png", name: "cat", truth: "REAL" },
  { file: "aeroplane.png", name: "aeroplane", truth: "FAKE" },
  { file: "car-1.png", name: "car", truth: "REAL" },
  { file: "dog.png", name: "dog", truth: "FAKE" },
  { file: "bird.png", name: "bird", truth: "REAL" },
  { file: "car-2.png", name: "car", truth: "FAKE" },
  { file: "sailing-boat.png", name: "boat", truth: "drawn" },
];
const SOURCES = {
  cifake: "https://doi.org/10.1109/ACCESS.2024.3356122",
  cifar: "https://www.cs.toronto.edu/~kriz/cifar.html",
};

/** Add the examples to `section`. take(file, truth): called with the File of the one that is chosen. */
export function addExamples(section, { take, warn }) {
  const list = element("ul", { class: "example-list", attributes: { role: "list" } });
  EXAMPLES.forEach(({ file, name, truth }, index) => {
    const address = `static/examples/${file}`;
    const alt = text("examples.button", { number: index + 1, name: text(`examples.${name}`) });
    const choose = async () => {
      try {
        const response = await fetch(address);
        if (!response.ok) throw new Error(response.statusText);
        take(new File([await response.blob()], file, { type: "image/png" }), truth);
      } catch {
        warn(text("examples.failed"));
      }
    };
    const image = element("img", { src: address, alt, width: 64, height: 64 });
    list.append(
      element("li", {}, element("button", { type: "button", class: "example", onclick: choose }, image)),
    );
  });
  section.append(list, element("p", { class: "small" }, ...sourcesLine()));
}

/** The line that names the sources, with the names of works as links. */
function sourcesLine() {
  const line = text("examples.sources", { cifake: "\0cifake\0", cifar: "\0cifar\0" });
  return line
    .split("\0")
    .map((part) =>
      part in SOURCES ? element("a", { href: SOURCES[part] }, text(`examples.${part}`)) : part,
    );
}
