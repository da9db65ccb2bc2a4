/**
 * Rules of the house for `deno lint` (deno.json names this file): how long a function of the product may be, and how many
 * parameters it may have. What needs no syntax tree is in `check-style.js`.
 */

/** Lines of a function, from its first to its last. */
const linesMax = 70;
const parametersMax = 6;

const functions = "FunctionDeclaration, FunctionExpression, ArrowFunctionExpression";

/** Whether a file is part of the product; tests and benches describe themselves in long functions. */
function isProduct(path) {
  const slashes = path.replaceAll("\\", "/");
  return /\/(src|ffi|cli|exports)\/|\/mod\.ts$/.test(slashes);
}

function linesOf(node, { text }) {
  return text.slice(node.range[0], node.range[1]).split("\n").length;
}

export default {
  name: "house",
  rules: {
    "function-lines": {
      create(context) {
        return {
          [functions](node) {
            if (!isProduct(context.filename)) return;
            const lines = linesOf(node, context.sourceCode);
            if (lines > linesMax) {
              context.report({ node, message: `${lines} lines; a function has at most ${linesMax}` });
            }
          },
        };
      },
    },
    "parameters": {
      create(context) {
        return {
          [functions](node) {
            const { length } = node.params;
            if (length > parametersMax) {
              context.report({ node, message: `${length} parameters; a function has at most ${parametersMax}` });
            }
          },
        };
      },
    },
  },
};
