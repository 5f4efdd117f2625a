// Links between the documents: `npx remark --frail --quiet --no-stdout README.md CONTRIBUTING.md CHANGELOG.md docs`.
module.exports = {
  plugins: [["remark-validate-links", { repository: false }]],
};
