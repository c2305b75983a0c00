package dev.performer.data;

/** One record of FASTA: the word after {@code >}, the rest of that line, letters without space. */
public record ProteinSequence(String id, String description, String residues) {}
