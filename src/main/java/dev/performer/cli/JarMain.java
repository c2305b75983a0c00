package dev.performer.cli;

/**
 * Where {@code java -jar} begins. It names no type of a library, so that it can explain that they
 * are missing.
 */
public final class JarMain {
  private static final String[] NEEDED = {
    "picocli.CommandLine",
    "org.tensorflow.TensorFlow",
    "com.fasterxml.jackson.databind.ObjectMapper",
    "com.fasterxml.jackson.dataformat.yaml.YAMLMapper",
    "me.tongfei.progressbar.ProgressBar",
    "org.knowm.xchart.XYChart",
  };

  private JarMain() {}

  /** Runs the command line, or ends with exit code 1 and the command that has the libraries. */
  public static void main(String[] args) {
    for (String type : NEEDED) {
      try {
        Class.forName(type, false, JarMain.class.getClassLoader());
      } catch (ClassNotFoundException e) {
        System.err.printf(
            "performer: this jar is the library alone (no %s on the class path); run ./performer, or collect the libraries with `mvn dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib` and run java -cp 'performer.jar:lib/*' dev.performer.cli.Main%n",
            type);
        System.exit(1);
      }
    }
    Main.main(args);
  }
}
