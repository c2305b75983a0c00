package dev.performer;

import java.io.Console;

/** The terminal that this process runs in. */
public final class Terminal {
  private Terminal() {}

  /** Whether a person reads along: standard input and output are a terminal. */
  public static boolean isPresent() {
    Console console = System.console();
    if (console == null) {
      return false;
    }
    try {
      // From JDK 22 on there is a console without a terminal, too.
      return (boolean) Console.class.getMethod("isTerminal").invoke(console);
    } catch (ReflectiveOperationException e) {
      return true;
    }
  }

  /** Its width as the environment variable COLUMNS has it, which the launcher sets; else 80. */
  public static int columns() {
    String columns = System.getenv("COLUMNS");
    boolean isWidth = columns != null && columns.matches("[1-9][0-9]{1,3}");
    return isWidth ? Integer.parseInt(columns) : 80;
  }
}
