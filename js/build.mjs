// Bundles each widget into one self-contained module and one style sheet.
// The output is committed: installing the Python package needs no Node.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
// Each widget has one module and one style sheet of its name in `src`; `theme.css` is part of all of them.
const modules = readdirSync(new URL("src", import.meta.url)).filter((name) => name.endsWith(".js"));

/** Of the table of verdicts only what the front end reads; Python draws with the rest. */
const verdicts = {
  name: "verdicts",
  setup({ onLoad }) {
    onLoad({ filter: /verdicts\.json$/ }, ({ path }) => {
      const table = Object.entries(JSON.parse(readFileSync(path, "utf8")));
      const read = table.map(([name, { title, plural, meaning, icon }]) => [name, { title, plural, meaning, icon }]);
      return { contents: JSON.stringify(Object.fromEntries(read)), loader: "json" };
    });
  },
};

await build({
  plugins: [verdicts],
  absWorkingDir: here,
  entryPoints: modules.flatMap((name) => [`src/${name}`, `src/${name.replace(/\.js$/, ".css")}`]),
  outdir: "../decomon_widgets/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  minify: true,
  legalComments: "none",
  logLevel: "info",
});
