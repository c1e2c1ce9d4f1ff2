// Bundles each widget into one self-contained module and one style sheet.
// The output is committed: installing the Python package needs no Node.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const widgets = ["epsilon_slider", "sample_grid", "bound_histogram"];

await build({
  absWorkingDir: here,
  entryPoints: widgets.flatMap((name) => [`src/${name}.js`, `src/${name}.css`]),
  outdir: "../decomon_widgets/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  minify: true,
  legalComments: "none",
  logLevel: "info",
});
