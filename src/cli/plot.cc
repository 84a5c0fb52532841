#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "cli/commands.h"
#include "train/plot_page.h"

namespace corral::cli {
namespace {

struct PlotOptions {
  std::string run;
  std::string out;
};

void run_plot(const PlotOptions& options, Io& io) {
  const std::filesystem::path run = options.run;
  const bool is_folder = std::filesystem::is_directory(run);
  const std::filesystem::path metrics = is_folder ? run / "metrics.jsonl" : run;
  const std::filesystem::path folder = is_folder ? run : metrics.parent_path();
  const std::filesystem::path out =
      options.out.empty() ? folder / "plot.html" : std::filesystem::path(options.out);
  const auto lines = train::read_metrics(metrics);
  const auto name = std::filesystem::weakly_canonical(std::filesystem::absolute(folder)).filename();
  write_file_atomically(out, train::plot_page(name.string(), lines));
  io.out << out.string() << '\n';
}

}  // namespace

void add_plot_command(CLI::App& app, Io& io) {
  auto options = std::make_shared<PlotOptions>();
  CLI::App* command =
      app.add_subcommand("plot", "draws the curves of a training run as a web page");
  command->add_option("run", options->run, "folder of the run, or its metrics.jsonl")->required();
  command->add_option("--out", options->out, "the page, default RUN/plot.html");
  command->footer("The page needs no network.\nExample:\n  corral plot runs/tiny --out tiny.html");
  command->callback([options, &io] { run_plot(*options, io); });
}

}  // namespace corral::cli
