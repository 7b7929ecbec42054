/* y = x*x out of place in a window that the ranks share; each computes its slice.
 *
 *   square_mpi N WARMUP PASSES */
#include "clock.h"
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int rank, ranks, unit;
    double *mine, *x;
    MPI_Aint whole;
    MPI_Win window;
    MPI_Init(&argc, &argv);
    if (argc < 4)
        MPI_Abort(MPI_COMM_WORLD, 2);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    long n = atol(argv[1]);
    int warmup = atoi(argv[2]), passes = atoi(argv[3]);
    MPI_Win_allocate_shared(rank == 0 ? 2 * n * (long)sizeof(double) : 0, sizeof(double), MPI_INFO_NULL,
                            MPI_COMM_WORLD, &mine, &window);
    MPI_Win_shared_query(window, 0, &whole, &unit, &x);
    double *restrict y = x + n;
    long begin = n * rank / ranks, end = n * (rank + 1) / ranks;
    for (long i = begin; i < end; i++) {
        x[i] = (double)i + 0.5;
        y[i] = 0.5;
    }
    if (rank == 0)
        printf("{\"seconds\":[");
    for (int pass = 0; pass < warmup + passes; pass++) {
        double first, last;
        MPI_Barrier(MPI_COMM_WORLD);
        double began = now();
        for (long i = begin; i < end; i++)
            y[i] = x[i] * x[i];
        double ended = now();
        MPI_Reduce(&began, &first, 1, MPI_DOUBLE, MPI_MIN, 0, MPI_COMM_WORLD);
        MPI_Reduce(&ended, &last, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
        if (rank == 0 && pass >= warmup)
            printf("%s%.12g", pass > warmup ? "," : "", last - first);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        printf("],\"first\":%.17g,\"last\":%.17g}\n", y[0], y[n - 1]);
    MPI_Win_free(&window);
    MPI_Finalize();
}
