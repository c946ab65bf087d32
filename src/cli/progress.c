/* SPDX-License-Identifier: Apache-2.0 */
/* Progress bars. Contract: cli/progress.h. */
#include "cli/progress.h"

#include "image/image.h"
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_MAX = 30, PERCENT_NONE = ~0 };

static struct {
    struct image_progress progress;
    char subject[80], step[160], note[40];
    unsigned percent;
    bool terminal, open; /* open: a line is being drawn */
} bar;

static unsigned bar_columns(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static void bar_draw(void)
{
    unsigned columns = bar_columns(), text, width, full;

    text = (unsigned)(strlen(bar.subject) + 2 + strlen(bar.step) + strlen(bar.note));
    fprintf(stderr, "\r%.*s: %.*s%s", (int)columns / 2, bar.subject, (int)columns / 2, bar.step,
            bar.note);
    width = columns > text + 10 ? columns - text - 10 : 0;
    width = width > BAR_MAX ? BAR_MAX : width;
    if (bar.percent != (unsigned)PERCENT_NONE && width) {
        full = width * bar.percent / 100;
        fprintf(stderr, " [%.*s%*s] %3u%%", (int)full, "##############################",
                (int)(width - full), "", bar.percent);
    }
    fputs("\033[K", stderr);
    bar.open = true;
}

static void bar_step(void *arg, const char *text)
{
    cli_progress_end();
    snprintf(bar.step, sizeof(bar.step), "%s", text);
    bar.percent = (unsigned)PERCENT_NONE;
    bar.note[0] = '\0';
    if (bar.terminal)
        bar_draw();
    else
        fprintf(stderr, "%s: %s\n", bar.subject, bar.step);
}

static void bar_amount(void *arg, unsigned percent)
{
    if (!bar.terminal || percent == bar.percent)
        return;
    bar.percent = percent;
    bar_draw();
}

static void bar_note(void *arg, const char *text)
{
    if (!bar.terminal)
        return;
    snprintf(bar.note, sizeof(bar.note), ", %s", text);
    bar_draw();
}

const struct image_progress *cli_progress_start(const char *subject)
{
    snprintf(bar.subject, sizeof(bar.subject), "%s", subject);
    bar.terminal = isatty(STDERR_FILENO);
    bar.open = false;
    bar.progress =
        (struct image_progress){.step = bar_step, .amount = bar_amount, .note = bar_note};
    return &bar.progress;
}

void cli_progress_end(void)
{
    if (bar.open)
        fputc('\n', stderr);
    bar.open = false;
}
