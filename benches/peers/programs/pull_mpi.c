/* MPI_Fetch_and_op on a counter of rank 0: what an index costs, over all ranks.
 *
 *   pull_mpi allocate|shared     by which call the window is made */
#include "batches.h"
#include <mpi.h>
#include <string.h>

static MPI_Win window;
static int rank;

static long counter(long operand, MPI_Op operation) {
    long before;
    MPI_Fetch_and_op(&operand, &before, MPI_LONG, 0, 0, operation, window);
    MPI_Win_flush(0, window);
    return before;
}

static struct stamp batch(long count) {
    if (rank == 0)
        counter(0, MPI_REPLACE);
    MPI_Barrier(MPI_COMM_WORLD);
    struct stamp own = {.begin = now()};
    while (counter(1, MPI_SUM) < count) {
    }
    own.end = now();
    return own;
}

static double span(const struct stamp *own) {
    double begin, end;
    MPI_Allreduce(&own->begin, &begin, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
    MPI_Allreduce(&own->end, &end, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return end - begin;
}

int main(int argc, char **argv) {
    long *memory;
    MPI_Info info;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Aint bytes = rank == 0 ? sizeof(long) : 0;
    MPI_Info_create(&info);
    MPI_Info_set(info, "accumulate_ops", "same_op_no_op"); /* spares an implementation what we do not need */
    if (argc > 1 && !strcmp(argv[1], "shared"))
        MPI_Win_allocate_shared(bytes, sizeof(long), info, MPI_COMM_WORLD, &memory, &window);
    else
        MPI_Win_allocate(bytes, sizeof(long), info, MPI_COMM_WORLD, &memory, &window);
    MPI_Win_lock_all(MPI_MODE_NOCHECK, window);
    measure(rank == 0, batch, span);
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
    MPI_Info_free(&info);
    MPI_Finalize();
}
