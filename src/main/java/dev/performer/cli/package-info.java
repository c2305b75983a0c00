/**
 * The command line {@code performer}: one class per command, options that commands share, and what
 * they print. Results go to standard output, progress to standard error; failures end in one line
 * and an exit code, 1 for what went wrong and 2 for wrong usage. Only this room prints and exits.
 *
 * <p>Internal: may change with any release, but for what signatures of the public API mention.
 */
package dev.performer.cli;
