/**
 * What this server has beyond the APIs of others: texts continued with all options, scored and
 * embedded; sessions, whose states stay on the server.
 *
 * <p>Internal: may change with any release.
 */
package dev.performer.server.text;
