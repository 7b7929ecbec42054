/* MPI_Barrier between the ranks of the world. */
#include "batches.h"
#include <mpi.h>

static double batch(long count) {
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = now();
    for (long at = 0; at < count; at++)
        MPI_Barrier(MPI_COMM_WORLD);
    return now() - begin;
}

static int agree(int said) {
    MPI_Bcast(&said, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return said;
}

int main(int argc, char **argv) {
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    measure(rank == 0, batch, agree);
    MPI_Finalize();
}
