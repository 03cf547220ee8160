/* Draws from distributions; see draw.h. */
#include "daemon/simulate/draw.h"

#include "pool/chance.h"

#include <math.h>

#define SHAPE 1.5
#define RANGE 500.0

/* 0 <= number < 1, in steps that a double holds. */
static double draw(uint64_t *chance)
{
    return (double)(chance_next(chance) >> 11) * 0x1p-53;
}

double draw_uniform(uint64_t *chance, double low, double high)
{
    return low + (high - low) * draw(chance);
}

double draw_exponential(uint64_t *chance, double mean)
{
    return -mean * log1p(-draw(chance));
}

double draw_heavy(uint64_t *chance, double mean)
{
    double cut = pow(RANGE, -SHAPE); /* the share of the unbounded distribution that is left out */
    double unit = SHAPE / (SHAPE - 1) * (1 - pow(RANGE, 1 - SHAPE)) / (1 - cut); /* the mean from 1 up */
    return mean / unit * pow(1 - (1 - cut) * draw(chance), -1 / SHAPE);
}
