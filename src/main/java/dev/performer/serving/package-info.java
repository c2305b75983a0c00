/** Models at work: sessions that generate text. */
package dev.performer.serving;
