#include <cstdio>
#include <cstdlib>

#include "fuzz/target.h"

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "finding: %s\n", what);
  std::abort();
}
