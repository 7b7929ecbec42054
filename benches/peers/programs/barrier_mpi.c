/* MPI_Barrier between the ranks of the world. */
#include "batches.h"
#include <mpi.h>

static struct stamp batch(long count) {
    MPI_Barrier(MPI_COMM_WORLD);
    struct stamp own = {.begin = now()};
    for (long at = 0; at < count; at++)
        MPI_Barrier(MPI_COMM_WORLD);
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
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    measure(rank == 0, batch, span);
    MPI_Finalize();
}
