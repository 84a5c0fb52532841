#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "cli/app.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  corral::cli::Io io{std::cin, std::cout, std::cerr,
                     isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0};
  const int status = corral::cli::run(std::vector<std::string>(argv + 1, argv + argc), io);
  std::cout.flush();
  return status == 0 && !std::cout ? 1 : status;
}
