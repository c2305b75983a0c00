package dev.performer.checkpoint;

import java.io.IOException;
import java.nio.file.Path;

/** Holds the models of a folder that {@code make_families.py} made to what Python computed. */
public final class InteropFamilies {
  private InteropFamilies() {}

  /**
   * @param args the folder
   */
  public static void main(String[] args) throws IOException {
    for (FamilyCase each : FamilyCase.all(Path.of(args[0]))) {
      System.out.println(each.folder().getFileName() + ": " + each.check() + ", as in Python");
    }
  }
}
