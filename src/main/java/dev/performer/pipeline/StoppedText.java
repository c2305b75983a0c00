package dev.performer.pipeline;

import dev.performer.data.TextStream;
import dev.performer.data.Tokenizer;
import java.util.List;

/** A text as it grows until it has a stop: what may be the beginning of one is held back. */
final class StoppedText {
  private final TextStream stream;
  private final List<String> stops;
  private final StringBuilder written = new StringBuilder();
  private String held = "";
  private boolean stopped;

  StoppedText(Tokenizer tokenizer, int[] before, List<String> stops) {
    this.stops = stops;
    stream = new TextStream(tokenizer, before);
  }

  /** Adds a token. @return the text that is certain now, often empty */
  String add(int id) {
    return take(stream.add(id), false);
  }

  /** What is left at the end. */
  String rest() {
    return stopped ? "" : take(stream.rest(), true);
  }

  /** Whether a stop came; the text ends before it. */
  boolean stopped() {
    return stopped;
  }

  /** All that is certain. */
  String text() {
    return written.toString();
  }

  private String take(String piece, boolean isLast) {
    String open = held + piece;
    int end = open.length();
    for (String stop : stops) {
      int at = open.indexOf(stop);
      stopped |= at >= 0;
      end = at >= 0 ? Math.min(end, at) : end;
    }
    int certain = stopped || isLast ? end : open.length() - beginning(open);
    held = stopped ? "" : open.substring(certain);
    String more = open.substring(0, certain);
    written.append(more);
    return more;
  }

  /** How many of the last letters are the beginning of a stop, at most. */
  private int beginning(String open) {
    int most = 0;
    for (String stop : stops) {
      for (int n = Math.min(stop.length() - 1, open.length()); n > most; n--) {
        most = open.endsWith(stop.substring(0, n)) ? n : most;
      }
    }
    return most;
  }
}
