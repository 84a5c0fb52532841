#include "cli/commands.h"
#include "cli/common.h"

namespace corral::cli {

void add_list_command(CLI::App& app, Io& io) {
  CLI::App* command =
      app.add_subcommand("list", "the models that come with Corral and those that were pulled");
  command->callback([&io] {
    const auto models = listed_models();
    for (const ListedModel& model : models) {
      io.out << model.name << '\t' << model.path.string() << '\n';
    }
    if (models.empty()) io.err << "no models: pull, train or convert one\n";
  });
}

}  // namespace corral::cli
