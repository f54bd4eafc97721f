#include "thread.h"

TL_INTERNAL _Thread_local struct thread thread_self __attribute__((tls_model("initial-exec")));
